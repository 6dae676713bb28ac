"""Lab 3's reference: chunkservers over real sockets, in one process, with a scripted master."""

from __future__ import annotations

import itertools
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from labkit import errors
from labkit.protocol import CATALOGUE
from tests.chunkserver.world import BLOCK, CHUNK, LIMITS, Cell, MemoryDisk


def test_an_append_is_at_the_same_offset_on_all_replicas(trio: Cell) -> None:
    assert trio.append(b"hello", "a", "b", "c") == 0
    assert trio.append(b"world!", "a", "c", "b") == 5
    for name in "abc":
        assert trio.read(name) == b"helloworld!"
        assert trio.read(name, 3, 4) == b"lowo"
        assert trio.call(name, "inventory").value == {"chunks": [[7, 2, 11]]}
    applied = [
        (name, facts["serial"], facts["offset"]) for name, event, facts in trio.notes if event == "applied"
    ]
    assert sorted(applied) == [(name, *what) for name in "abc" for what in ((1, 0), (2, 5))]


def test_concurrent_appends_are_all_whole_and_in_one_order(trio: Cell) -> None:
    offsets: dict[int, bytes] = {}

    def appender(number: int) -> None:
        for turn in range(5):
            data = bytes([65 + number]) * (1 + (number + turn) % 3)
            offsets[trio.append(data, *("abc" if turn % 2 else "acb"))] = data

    threads = [threading.Thread(target=appender, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(offsets) == 30
    for name in "abc":
        assert trio.read(name) == b"".join(data for _, data in sorted(offsets.items()))


def test_a_record_that_does_not_fit_pads_all_replicas(trio: Cell) -> None:
    for _ in range(4):
        trio.append(b"x" * 30, "a", "b", "c")
    for _ in range(2):
        with pytest.raises(errors.ChunkFull):
            trio.append(b"y" * 20, "a", "b", "c")
    for name in "abc":
        assert trio.read(name) == b"x" * 120 + bytes(8)


def test_chunk_full_is_not_said_before_every_replica_is_padded(trio: Cell) -> None:
    for _ in range(4):
        trio.append(b"x" * 30, "a", "b", "c")
    data_id = trio.push(b"y" * 20, "a", "b", "c")
    trio.running[-1].stop()
    for _ in range(2):
        with trio.clock.hurry(), pytest.raises(errors.ReplicaFailed):
            trio.call("a", "append", handle=7, version=2, data_id=data_id)
    trio.start("c")
    with trio.clock.hurry(), pytest.raises(errors.ChunkFull):
        trio.call("a", "append", handle=7, version=2, data_id=data_id)
    for name in "abc":
        assert trio.read(name) == b"x" * 120 + bytes(8)


def test_an_append_fails_while_a_secondary_is_down_and_works_at_the_next_version(trio: Cell) -> None:
    trio.append(b"one", "a", "b", "c")
    data_id = trio.push(b"two", "a", "b", "c")
    trio.running[-1].stop()
    with trio.clock.hurry(), pytest.raises(errors.ReplicaFailed) as caught:
        trio.call("a", "append", handle=7, version=2, data_id=data_id)
    assert not caught.value.definite
    trio.lease(3, "a", "b")
    # The data is still buffered: no second push. The failed attempt stays where it was.
    assert trio.call("a", "append", handle=7, version=3, data_id=data_id).value == {"offset": 6}
    for name in "ab":
        assert trio.read(name) == b"onetwotwo"
    trio.start("c")
    assert trio.call("c", "inventory").value == {"chunks": [[7, 2, 3]]}
    with pytest.raises(errors.StaleVersion):
        trio.apply("c", 1, 3, None, version=3)


def test_a_new_primary_overwrites_what_a_failed_append_left(trio: Cell) -> None:
    trio.append(b"one", "a", "b", "c")
    data_id = trio.push(b"leftover", "b")
    with pytest.raises(errors.ReplicaFailed):
        trio.call("a", "append", handle=7, version=2, data_id=trio.push(b"leftover", "a"))
    trio.apply("b", 3, 3, data_id)
    trio.lease(3, "c", "a", "b")
    assert trio.append(b"two", "c", "a", "b", version=3) == 3
    for name in "abc":
        assert trio.read(name) == b"onetwo"


def test_a_restarted_replica_has_every_acknowledged_byte_and_no_lease(trio: Cell) -> None:
    trio.append(b"x" * 30, "a", "b", "c")
    trio.running[0].stop()
    trio.start("a")
    assert trio.read("a") == b"x" * 30
    with pytest.raises(errors.NotPrimary):
        trio.append(b"y", "a", "b", "c")


def test_who_may_not_append(trio: Cell) -> None:
    data_id = trio.push(b"x", "a", "b", "c")
    with pytest.raises(errors.NotPrimary):
        trio.call("b", "append", handle=7, version=2, data_id=data_id)
    for version in (1, 3):
        with pytest.raises(errors.StaleVersion):
            trio.call("a", "append", handle=7, version=version, data_id=data_id)
    with pytest.raises(errors.UnknownData):
        trio.call("a", "append", handle=7, version=2, data_id="never pushed")
    with pytest.raises(errors.NoSuchChunk):
        trio.call("a", "append", handle=8, version=2, data_id=data_id)
    with pytest.raises(errors.TooLarge):
        trio.push(bytes(LIMITS.record_limit + 1), "a", "b", "c")
    assert trio.append(bytes(LIMITS.record_limit), "a", "b", "c") == 0


def test_a_lease_ends_when_its_time_has_passed(trio: Cell) -> None:
    trio.append(b"x", "a", "b", "c")
    trio.clock.ahead += 60
    with pytest.raises(errors.NotPrimary):
        trio.append(b"y", "a", "b", "c")


def test_a_revoked_lease_is_over_and_an_old_grant_does_not_revive_it(trio: Cell) -> None:
    trio.call("a", "revoke_lease", handle=7, version=2)
    with pytest.raises(errors.NotPrimary):
        trio.append(b"x", "a", "b", "c")
    with pytest.raises(errors.StaleVersion):
        trio.call(
            "a", "grant_lease", handle=7, version=2, until=trio.clock.now() + 60, secondaries=["b", "c"]
        )
    trio.lease(3, "a", "b", "c")
    assert trio.append(b"x", "a", "b", "c", version=3) == 0


def test_a_new_version_ends_the_lease_of_the_old_one(trio: Cell) -> None:
    trio.call("a", "advance_version", handle=7, previous=2, version=2)
    assert trio.running[0].leases.held(trio.clock.now()) == {7: 2}
    trio.call("a", "advance_version", handle=7, previous=2, version=3)
    assert trio.running[0].leases.held(trio.clock.now()) == {}
    for version in (2, 3):
        with pytest.raises(errors.NotPrimary):
            trio.append(b"x", "a", "b", "c", version=version)


def test_a_lease_is_never_longer_than_one_lease_time_from_now(trio: Cell) -> None:
    trio.lease(3, "a", "b", "c", until=1e6)
    trio.clock.ahead += LIMITS.lease
    with pytest.raises(errors.NotPrimary):
        trio.append(b"x", "a", "b", "c", version=3)


def test_which_versions_are_accepted(trio: Cell) -> None:
    trio.call("b", "advance_version", handle=7, previous=2, version=2)
    trio.call("b", "advance_version", handle=7, previous=2, version=4)
    trio.call("b", "advance_version", handle=7, previous=2, version=5)  # 4 was given up half-way
    for previous, version in ((2, 4), (6, 7), (1, 2)):
        with pytest.raises(errors.StaleVersion):
            trio.call("b", "advance_version", handle=7, previous=previous, version=version)
    with pytest.raises(errors.NoSuchChunk):
        trio.call("b", "advance_version", handle=8, previous=1, version=2)
    with pytest.raises(errors.StaleVersion):
        trio.call("b", "create_chunk", handle=7, version=1)
    trio.call("b", "create_chunk", handle=7, version=5)
    with pytest.raises(errors.StaleVersion):
        trio.call("b", "grant_lease", handle=7, version=4, until=trio.clock.now() + 9, secondaries=[])


def test_mutations_that_arrive_in_any_order_are_applied_in_theirs(trio: Cell) -> None:
    for arrival in itertools.permutations((1, 2, 3)):
        version = trio.call("b", "inventory").value["chunks"][0][1] + 1
        trio.call("b", "advance_version", handle=7, previous=2, version=version)
        trio.notes.clear()
        ids = {serial: trio.push(b"%d" % serial, "b") for serial in arrival}
        threads: list[threading.Thread] = []
        for serial in arrival:
            # All at the same offset: each one puts an end to those before it.
            args = ("b", serial, 0, ids[serial], version)
            threads.append(threading.Thread(target=trio.apply, args=args))
            threads[-1].start()
            time.sleep(0.005)
        for thread in threads:
            thread.join()
        applied = [facts["serial"] for _, event, facts in trio.notes if event == "applied"]
        assert sorted(applied) == [1, 2, 3]
        assert trio.read("b") == b"3"


def test_a_missing_mutation_is_waited_for_given_up_and_refused_later(trio: Cell) -> None:
    data_id = trio.push(b"x", "b")
    began = trio.clock.now()
    with trio.clock.hurry():
        trio.apply("b", 2, 4, data_id)
    assert trio.clock.now() - began >= LIMITS.reorder_wait
    with pytest.raises(errors.OutOfOrder):
        trio.apply("b", 1, 0, data_id)
    assert trio.read("b") == bytes(4) + b"x"


def test_a_mutation_that_fails_does_not_hold_up_the_next(trio: Cell) -> None:
    with pytest.raises(errors.UnknownData):
        trio.apply("b", 1, 0, "never pushed")
    began = trio.clock.now()
    trio.apply("b", 2, 0, trio.push(b"x", "b"))
    assert trio.clock.now() - began < LIMITS.reorder_wait
    with pytest.raises(errors.BadArguments):
        trio.apply("b", 3, CHUNK, trio.push(b"x", "b"))


def test_a_waiting_mutation_is_refused_when_the_version_advances(trio: Cell) -> None:
    data_id = trio.push(b"x", "b")
    outcome: list[Exception] = []

    def late() -> None:
        try:
            trio.apply("b", 2, 4, data_id)
        except errors.StaleVersion as error:
            outcome.append(error)

    thread = threading.Thread(target=late)
    thread.start()
    time.sleep(0.02)
    trio.call("b", "advance_version", handle=7, previous=2, version=3)
    thread.join()
    assert len(outcome) == 1
    assert trio.read("b") == b""
    trio.apply("b", 1, 0, data_id, version=3)


def test_a_push_fails_when_a_server_of_the_chain_is_away(trio: Cell) -> None:
    trio.running[-1].stop()
    with trio.clock.hurry(), pytest.raises(errors.ReplicaFailed, match="c"):
        trio.push(b"x", "a", "b", "c")


def test_damage_is_refused_reported_and_deleted(trio: Cell, tmp_path: Path) -> None:
    trio.append(b"x" * 30, "a", "b", "c")
    path = tmp_path / "b" / "7.data"
    path.write_bytes(b"y" + path.read_bytes()[1:])
    with pytest.raises(errors.Corrupt):
        trio.read("b")
    with pytest.raises(errors.Corrupt):
        trio.apply("b", 2, 30, None)
    with pytest.raises(errors.NoSuchChunk):
        trio.call("b", "advance_version", handle=7, previous=2, version=3)
    assert trio.call("b", "inventory").value == {"chunks": []}
    trio.answer = lambda method, report: {"delete": report.get("damaged", [])}
    trio.start_master()
    with trio.clock.hurry():
        report = trio.wait_for(lambda: [r for m, r in trio.reports if m == "heartbeat" and r["damaged"]])[0]
    assert (report["name"], report["damaged"], report["chunks"]) == ("b", [7], [])
    trio.wait_for(lambda: not list((tmp_path / "b").iterdir()))
    with pytest.raises(errors.NoSuchChunk):
        trio.read("b")


def test_read_bounds(trio: Cell) -> None:
    trio.append(b"abc", "a", "b", "c")
    reply = trio.call("c", "read", handle=7, offset=1, length=100)
    assert (reply.value, bytes(reply.payload)) == ({"version": 2, "length": 3}, b"bc")
    assert trio.read("c", 3) == trio.read("c", 99) == b""
    with pytest.raises(errors.BadArguments):
        trio.read("c", -1)
    with pytest.raises(errors.TooLarge):
        trio.read("c", 0, 1 << 40)
    with pytest.raises(errors.NoSuchChunk):
        trio.call("c", "read", handle=8, offset=0, length=1)


def test_a_server_registers_beats_and_registers_again_when_asked(cell: Cell) -> None:
    cell.start("a")
    cell.call("a", "create_chunk", handle=7, version=1)
    cell.call("a", "create_chunk", handle=8, version=3)
    with cell.clock.hurry():
        cell.wait_for(lambda: any(event == "heartbeat failed" for _, event, _ in cell.notes))
    asked: list[str] = []
    cell.answer = lambda method, report: (
        {"register": not asked.append(method)} if method == "heartbeat" else {}
    )
    before = cell.clock.now()
    cell.start_master()
    with cell.clock.hurry():
        cell.wait_for(lambda: len(cell.reports) >= 4)
    assert [method for method, _ in cell.reports[:4]] == ["register", "heartbeat", "register", "heartbeat"]
    for method, report in cell.reports[:4]:
        assert set(report) == set(CATALOGUE[method].args)
        assert report["chunks"] == [[7, 1], [8, 3]]
        assert before < report["sent"] < cell.clock.now()
    assert cell.reports[0][1]["rack"] == "r1"


def test_heartbeats_keep_a_lease_and_silence_loses_it(trio: Cell) -> None:
    renew = {"on": True}

    def answer(method: str, report: dict[str, Any]) -> dict[str, Any]:
        if method != "heartbeat" or not renew["on"]:
            return {}
        return {"leases": [[handle, report["sent"] + LIMITS.lease] for handle, _ in report["leases"]]}

    trio.answer = answer
    trio.start_master()
    for _ in range(4):
        seen = len(trio.reports)
        with trio.clock.hurry():
            trio.wait_for(
                lambda seen=seen: [r for _, r in trio.reports[seen:] if r.get("leases") == [[7, 2]]]
            )
        trio.wait_for(lambda: trio.running[0].leases.current(7, trio.clock.now() + 50))
        trio.clock.ahead += 50
        trio.append(b"x", "a", "b", "c")
    renew["on"] = False
    trio.clock.ahead += LIMITS.lease
    with pytest.raises(errors.NotPrimary):
        trio.append(b"x", "a", "b", "c")


def test_only_what_was_reported_is_deleted(lab: Any) -> None:
    store, leases = lab("store").Store(MemoryDisk(), BLOCK), lab("leases").Leases()
    for handle in (1, 2, 3, 4):
        store.create(handle, 1)
    store.get(4).advance(2)

    def call(server: str, method: str, args: dict[str, Any], **options: Any) -> Any:
        if method == "heartbeat":
            store.get(2).advance(2)  # a lease is about to be granted
            store.create(5, 1)
            return SimpleNamespace(value={"leases": [], "delete": [1, 2, 4, 5, 6], "register": False})
        return SimpleNamespace(value={"delete": []})

    leases.grant(4, lab("leases").Lease(2, 60.0, ()))
    context = SimpleNamespace(
        name="a",
        config={"master": "m"},
        clock=SimpleNamespace(now=lambda: 0.0),
        annotate=lambda *_, **__: None,
    )
    heartbeats = lab("heartbeat").Heartbeats(context, SimpleNamespace(call=call), store, leases)
    heartbeats.beat()
    assert [replica.handle for replica in store.intact()] == [2, 3, 4, 5]

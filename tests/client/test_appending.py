"""Appending, against the scripted cluster."""

from __future__ import annotations

from typing import Any

import pytest

from labkit import errors
from labkit.protocol import RECORD
from tests.client.world import CHUNK, LIMITS, StillClock, World, bodies, remote


def test_appended_records_are_found_at_their_offsets(client: Any) -> None:
    sent = {client.append("/f", f"body {n}".encode() * n): f"body {n}".encode() * n for n in range(30)}
    assert {found.offset: found.body for found in client.scan("/f")} == sent
    assert [found.record_id for found in client.scan("/f")] == [(client.client_id, n) for n in range(1, 31)]
    assert max(sent) > 2 * CHUNK, "the file has several chunks"


def test_a_second_append_asks_the_master_nothing(client: Any, world: World) -> None:
    client.append("/f", b"one")
    world.calls.clear()
    client.append("/f", b"two")
    assert world.calls == [("cs1", "push"), ("cs1", "append")]


def test_what_is_cached_is_asked_again_when_its_time_is_over(
    client: Any, world: World, clock: StillClock
) -> None:
    client.append("/f", b"one")
    clock.advance(60.0)
    world.calls.clear()
    client.append("/f", b"two")
    assert [method for _, method in world.calls] == ["stat", "lookup", "lease", "push", "append"]


def test_a_full_chunk_leads_to_the_next_one(client: Any, world: World) -> None:
    for _ in range(4):
        client.append("/f", bytes(200))
    assert client.append("/f", b"n" * 200) == CHUNK
    # Somebody else has gone on meanwhile: the file's last chunk is two further.
    world.data["cs1", world.files["/f"][1]] = bytearray(CHUNK)
    world.new_chunk("/f")
    world.new_chunk("/f")
    assert client.append("/f", b"m") == 3 * CHUNK
    assert len(world.files["/f"]) == 4


def test_a_chunk_that_was_in_a_snapshot_is_copied_before_it_is_appended_to(client: Any, world: World) -> None:
    first = client.append("/f", b"one")
    (shared,) = world.files["/f"]
    world.shared.add(shared)
    world.always("cs1", "append", errors.NotPrimary("the snapshot took the lease back"))
    world.script("master", "lease", lambda: world._always.clear())
    second = client.append("/f", b"two")
    assert bodies(client.scan("/f")) == [b"one", b"two"] and first < second
    assert world.files["/f"] != [shared]
    assert len(world.data["cs1", shared]) < len(world.data["cs1", world.files["/f"][0]])


def test_a_copy_of_a_chunk_in_the_middle_does_not_become_the_last(client: Any, world: World) -> None:
    while client.append("/f", bytes(200)) < CHUNK:
        pass
    world.shared.add(world.files["/f"][0])
    assert client._master.allocate("/f", 0).handle == world.files["/f"][0]
    before = len(world.calls)
    assert client.append("/f", b"more") > CHUNK
    assert {method for _, method in world.calls[before:]} == {"push", "append"}


def test_lost_data_is_pushed_again_under_the_same_lease(client: Any, world: World) -> None:
    client.append("/f", b"one")
    world.calls.clear()
    world.script("cs1", "append", world.pushed.clear)
    client.append("/f", b"two")
    assert [method for _, method in world.calls] == ["push", "append", "push", "append"]


def test_an_answer_that_took_long_is_old_when_it_comes(client: Any, world: World, clock: StillClock) -> None:
    for method in ("stat", "lookup", "lease"):
        world.script("master", method, lambda: clock.advance(20.0))
    world.new_chunk("/f")
    client.append("/f", b"one")
    world.calls.clear()
    # 40 seconds after lease was asked, 60 after lookup, 80 after stat.
    clock.advance(20.0)
    client.append("/f", b"two")
    assert [method for _, method in world.calls] == ["stat", "lookup", "push", "append"]
    clock.advance(20.0)
    world.calls.clear()
    client.append("/f", b"three")
    assert [method for _, method in world.calls] == ["lease", "push", "append"]


@pytest.mark.parametrize("primary", ["cs2", "cs1"], ids=["another primary", "the same one, newer version"])
def test_a_lease_that_moved_is_asked_for_at_once(
    client: Any, world: World, clock: StillClock, primary: str
) -> None:
    client.append("/f", b"one")
    world.change_lease(world.files["/f"][0], primary, "cs3")
    before = clock.now()
    client.append("/f", b"two")
    assert bodies(client.scan("/f")) == [b"one", b"two"]
    assert clock.now() == before


@pytest.mark.parametrize(
    "fault",
    [remote("replica_failed"), errors.CallTimeout(), errors.ConnectionLost(), remote("session_lost")],
    ids=lambda fault: str(fault) or type(fault).__name__,
)
@pytest.mark.parametrize("applied", [False, True], ids=["before", "after"])
def test_an_append_in_doubt_is_repeated_with_the_same_id(
    client: Any, world: World, fault: Exception, applied: bool
) -> None:
    world.script("cs1", "append", fault, after=applied)
    offset = client.append("/f", b"one")
    found = client.scan("/f")
    assert bodies(found) == [b"one"] * (2 if applied else 1)
    assert len({record.record_id for record in found}) == 1
    assert offset == found[-1].offset
    assert bodies(client.records("/f")) == [b"one"]
    assert world.count("lease") == 2, "the master is asked anew who is primary"


@pytest.mark.parametrize(
    ("server", "method", "fault"),
    [
        ("cs1", "append", errors.Unreachable()),
        ("cs1", "push", errors.Unreachable()),
        ("cs1", "push", errors.CallTimeout()),
        ("cs1", "push", remote("replica_failed")),
        ("cs1", "append", remote("corrupt")),
        ("cs1", "append", remote("handler_failed")),
        ("master", "stat", errors.Unreachable()),
        ("master", "lease", remote("no_replica")),
        ("master", "lease", errors.CallTimeout()),
        ("master", "allocate", remote("session_lost")),
        ("master", "allocate", remote("no_replica")),
    ],
    ids=str,
)
def test_an_append_survives_what_heals(
    client: Any, world: World, clock: StillClock, server: str, method: str, fault: Exception
) -> None:
    before = clock.now()
    world.script(server, method, fault, fault, fault, fault)
    client.append("/f", b"one")
    assert bodies(client.scan("/f")) == [b"one"]
    assert 1.5 < clock.now() - before < 120.0, "it rested, and not for ever"


def test_a_file_made_anew_is_looked_at_again(client: Any, world: World, clock: StillClock) -> None:
    for _ in range(6):
        client.append("/f", bytes(200))
    for handle in world.files["/f"]:
        for server in world.servers:
            del world.data[server, handle]
    world.files["/f"] = []
    before = clock.now()
    assert client.append("/f", b"anew") == 0
    assert clock.now() == before, "not only when the cache has run out"


def test_a_file_made_anew_behind_a_full_chunk_is_looked_at_again(
    client: Any, world: World, clock: StillClock
) -> None:
    for _ in range(6):
        client.append("/f", bytes(200))

    def made_anew() -> None:
        world.files["/f"] = []
        raise errors.ChunkFull

    world.script("cs1", "append", made_anew)
    before = clock.now()
    assert client.append("/f", b"anew") == 0
    assert clock.now() == before


@pytest.mark.parametrize(
    ("server", "method", "fault", "definite"),
    [
        ("master", "stat", errors.CallTimeout(), True),
        ("master", "stat", errors.Unreachable(), True),
        ("master", "lease", remote("no_replica"), True),
        ("cs1", "push", errors.CallTimeout(), True),
        ("cs1", "push", remote("too_large"), True),
        ("cs1", "append", errors.Unreachable(), True),
        ("cs1", "append", errors.CallTimeout(), False),
        ("cs1", "append", remote("not_primary"), False),
        ("cs1", "append", remote("chunk_full"), False),
        ("cs1", "append", remote("replica_failed"), False),
    ],
    ids=str,
)
def test_an_append_given_up_says_whether_a_request_left(
    client: Any,
    lab: Any,
    world: World,
    clock: StillClock,
    server: str,
    method: str,
    fault: Exception,
    definite: bool,
) -> None:
    before = clock.now()
    world.always(server, method, fault)
    with pytest.raises(lab("").AppendFailed) as failed:
        client.append("/f", b"one")
    assert failed.value.definite is definite
    assert failed.value.__cause__ is fault
    assert clock.now() - before < 350.0
    assert len(world.calls) < 1000


def test_a_request_that_left_is_never_taken_back(client: Any, lab: Any, world: World) -> None:
    world.script("cs1", "append", errors.CallTimeout())
    # The first lease is granted; from then on the master is gone.
    world.script("master", "lease", lambda: world.always("master", "lease", errors.Unreachable()))
    with pytest.raises(lab("").AppendFailed) as failed:
        client.append("/f", b"one")
    assert failed.value.definite is False


def test_an_unreachable_primary_takes_no_earlier_request_back(client: Any, lab: Any, world: World) -> None:
    world.script("cs1", "append", errors.CallTimeout())
    world.always("cs1", "append", errors.Unreachable())
    with pytest.raises(lab("").AppendFailed) as failed:
        client.append("/f", b"one")
    assert isinstance(failed.value.__cause__, errors.Unreachable)
    assert failed.value.definite is False


def test_a_missing_file_and_a_record_too_large_fail_at_once(client: Any, lab: Any, world: World) -> None:
    largest = LIMITS.record_limit - RECORD.size
    client.append("/f", bytes(largest))
    world.calls.clear()
    with pytest.raises(lab("").AppendFailed) as failed:
        client.append("/f", bytes(largest + 1))
    assert failed.value.definite and isinstance(failed.value.__cause__, errors.TooLarge)
    assert world.calls == []
    with pytest.raises(lab("").AppendFailed) as failed:
        client.append("/nothing", b"")
    assert failed.value.definite and isinstance(failed.value.__cause__, errors.NoSuchFile)
    assert len(world.calls) == 1


def test_answers_that_are_none_are_called_so(client: Any, lab: Any, world: World, monkeypatch: Any) -> None:
    monkeypatch.setattr(world, "master", lambda *_: ({"chunks": "many"}, b""))
    with pytest.raises(lab("").AppendFailed, match=r"stat.*many.*protocol"):
        client.append("/f", b"")

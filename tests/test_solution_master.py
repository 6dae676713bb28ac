"""Lab 2's reference: its pure modules as tables, its log against every torn tail, and a master over sockets.

What crashes and late messages do to it all is tested in test_solution_master_model.py.
"""

from __future__ import annotations

import errno
import importlib
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from labkit import Context, Limits, errors
from labkit.checksum import crc32c
from labkit.clock import SystemClock
from labkit.disk import OsDisk
from labkit.network import DirectNetwork
from labkit.protocol import CATALOGUE, Role

SOLUTIONS = Path(__file__).resolve().parent.parent / "solutions"
MODULES = (
    "chunks",
    "leases",
    "namespace",
    "operations",
    "oplog",
    "placement",
    "replicas",
    "servers",
    "state",
    "steady",
    "turns",
)
LIMITS = Limits()


@pytest.fixture(autouse=True)
def lab(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    for root in ("01_rpc", "02_gfs_master"):
        monkeypatch.syspath_prepend(str(SOLUTIONS / root))
    modules = {name: importlib.import_module(f"gfs_master.{name}") for name in MODULES}
    return SimpleNamespace(**modules, start=importlib.import_module("gfs_master").start)


# ---- namespace


@pytest.mark.parametrize("path", ["/", "/a", "/a/b", "/a b", "/ä", "/...", "/.a", "/" + "x" * 4095])
def test_valid_paths(lab: SimpleNamespace, path: str) -> None:
    assert lab.namespace.check_path(path) == path


INVALID = ["", "a", "a/b", "//", "/a/", "//a", "/a//b", "/.", "/..", "/a/./b", "/a/../b", "/a\0b"]
TOO_LONG = ["/" + "x" * 4096, "/" + "ä" * 2048]


@pytest.mark.parametrize("path", [*INVALID, *TOO_LONG, None, 7, b"/a", ["/a"]])
def test_invalid_paths(lab: SimpleNamespace, path: Any) -> None:
    with pytest.raises(errors.InvalidPath):
        lab.namespace.check_path(path)
    with pytest.raises(errors.InvalidPath):
        lab.namespace.Namespace().create(path)


def test_namespace_says_no_for_the_right_reason(lab: SimpleNamespace) -> None:
    names = lab.namespace.Namespace()
    names.create("/a")
    for path, error in [("/a", errors.FileExists), ("/", errors.FileExists), ("/d/a", errors.NoSuchFile)]:
        with pytest.raises(error):
            names.create(path)
    # A file is no directory.
    with pytest.raises(errors.NoSuchFile):
        names.create("/a/b")
    for path in ("/b", "/"):
        with pytest.raises(errors.NoSuchFile):
            names.file(path)
    with pytest.raises(errors.NoSuchFile):
        names.list("/a")


def test_list_is_sorted_and_full(lab: SimpleNamespace) -> None:
    names = lab.namespace.Namespace()
    for path in ("/b", "/a", "/ab"):
        names.create(path)
    assert names.list("/") == ["/a", "/ab", "/b"]


def test_chunks_have_no_gaps_and_no_negative_index(lab: SimpleNamespace) -> None:
    names = lab.namespace.Namespace()
    names.create("/a")
    for index in (1, -1):
        with pytest.raises(errors.NoSuchChunk):
            names.add_chunk("/a", index, 5)
    names.add_chunk("/a", 0, 5)
    names.add_chunk("/a", 1, 9)
    assert [names.handle_at("/a", index) for index in (0, 1)] == [5, 9]
    for index in (2, -1):
        with pytest.raises(errors.NoSuchChunk):
            names.handle_at("/a", index)


# ---- versions, placement


@pytest.mark.parametrize(
    ("version", "worth"),
    [(2, "STALE"), (3, "UP_TO_DATE"), (4, "UP_TO_DATE"), (5, "UP_TO_DATE"), (6, "UNHEARD_OF")],
)
def test_a_replica_between_committed_and_attempted_is_up_to_date(
    lab: SimpleNamespace, version: int, worth: str
) -> None:
    chunk = lab.chunks.Chunk(version=3, attempted=5, told=("a",), primary="a")
    assert lab.chunks.judge(chunk, version).name == worth


def choose(
    lab: SimpleNamespace, loads: list[tuple[str, str, int, int]], count: int, **more: Any
) -> list[str]:
    candidates = [lab.placement.Load(*load) for load in loads]
    return lab.placement.choose(candidates, count, random.Random(7), **more)


def test_placement_prefers_the_least_used(lab: SimpleNamespace) -> None:
    loads = [("a", "r", 900, 0), ("b", "r", 100, 0), ("c", "r", 500, 0), ("d", "r", 300, 0)]
    assert choose(lab, loads, 3) == ["b", "d", "c"]


def test_placement_spreads_over_racks_first(lab: SimpleNamespace) -> None:
    loads = [("a", "r1", 0, 0), ("b", "r1", 1, 0), ("c", "r2", 900, 0), ("d", "r2", 901, 0)]
    assert choose(lab, loads, 3) == ["a", "c", "b"]
    assert choose(lab, loads, 1, racks=["r1"]) == ["c"]


def test_placement_does_not_flood_the_emptiest_server(lab: SimpleNamespace) -> None:
    loads = [("new", "r", 0, lab.placement.BURST), ("a", "r", 900, 0), ("b", "r", 901, 0)]
    assert choose(lab, loads, 3) == ["a", "b", "new"]


def test_placement_takes_what_there_is_and_never_one_server_twice(lab: SimpleNamespace) -> None:
    loads = [("a", "r", 0, 0), ("b", "r", 0, 0)]
    assert sorted(choose(lab, loads, 3)) == ["a", "b"]
    assert choose(lab, [], 3) == []


def test_placement_leaves_the_rest_to_chance(lab: SimpleNamespace) -> None:
    candidates = [lab.placement.Load(name, "r", 0, 0) for name in "abcdef"]
    chosen = {lab.placement.choose(candidates, 1, random.Random(seed))[0] for seed in range(100)}
    assert chosen == set("abcdef")


# ---- replicas, servers


@pytest.fixture
def replicas(lab: SimpleNamespace) -> Any:
    return lab.replicas.Replicas(settle=10.0)


def test_reports_say_who_has_what(replicas: Any) -> None:
    replicas.report("a", {1: 3, 2: 1}, 0.0, started=True)
    replicas.report("b", {1: 4}, 0.0, started=True)
    assert dict(replicas.of(1)) == {"a": 3, "b": 4}
    replicas.report("a", {2: 1}, 1.0, started=False)
    assert dict(replicas.of(1)) == {"b": 4}
    replicas.forget("b")
    assert (replicas.of(1), replicas.of(2)) == ((), (("a", 1),))


def test_an_older_report_takes_no_version_back(replicas: Any) -> None:
    replicas.report("a", {1: 3}, 0.0, started=True)
    replicas.confirm("a", 1, 4, 1.0)
    for time_, started in [(1.1, False), (50.0, True)]:
        replicas.report("a", {1: 3}, time_, started=started)
        assert dict(replicas.of(1)) == {"a": 4}


def test_a_heartbeat_that_may_be_older_takes_no_new_replica_away(replicas: Any) -> None:
    replicas.confirm("a", 1, 1, 100.0)
    replicas.report("a", {}, 109.9, started=False)
    assert dict(replicas.of(1)) == {"a": 1}
    replicas.report("a", {}, 110.0, started=False)
    assert dict(replicas.of(1)) == {}


def test_a_registration_without_the_chunk_is_believed_at_once(replicas: Any) -> None:
    replicas.confirm("a", 1, 1, 100.0)
    replicas.report("a", {}, 100.1, started=True)
    assert dict(replicas.of(1)) == {}


def test_damage_is_remembered_until_the_replica_is_dropped(replicas: Any) -> None:
    replicas.report("a", {1: 3}, 0.0, started=True)
    replicas.damage("a", [1], 0.5)
    replicas.report("a", {1: 3}, 1.0, started=False)
    assert dict(replicas.of(1)) == {}
    replicas.report("a", {}, 2.0, started=False)
    replicas.report("a", {1: 4}, 3.0, started=False)
    assert dict(replicas.of(1)) == {"a": 4}


def table(lab: SimpleNamespace, now: float = 0.0) -> Any:
    servers = lab.servers.Servers(LIMITS, now)
    for moment in range(int(now), int(now) + 30):
        servers.have_had_time(float(moment))
    return servers


def test_only_the_newest_message_counts(lab: SimpleNamespace) -> None:
    servers, News = table(lab), lab.servers.News
    assert servers.heartbeat("a", 5.0, 0, 30.0) is News.UNKNOWN
    assert servers.register("a", 100.0, 0, "r", 30.0) is News.FRESH
    assert servers.heartbeat("a", 99.0, 0, 31.0) is News.OLD
    assert servers.register("a", 99.0, 0, "r", 31.0) is News.OLD
    assert servers.heartbeat("a", 103.0, 0, 33.0) is News.FRESH
    # A repeat counts from when it was first heard, or a lease would outlive its primary's idea of it.
    assert servers.heartbeat("a", 103.0, 0, 36.0) is News.FRESH
    assert (servers.get("a").sent, servers.get("a").heard) == (103.0, 33.0)
    assert servers.register("a", 103.0, 0, "r", 37.0) is News.FRESH
    assert (servers.get("a").sent, servers.get("a").heard, servers.get("a").spoke) == (103.0, 33.0, True)


def test_silence_is_death(lab: SimpleNamespace) -> None:
    servers = table(lab)
    servers.register("a", 0.0, 0, "r", 30.0)
    for moment in range(31, 51):
        assert servers.find_dead(float(moment)) == []
    assert servers.find_dead(50.5) == ["a"]
    assert "a" not in servers
    servers.register("b", 0.0, 0, "r", 51.0)
    assert servers.is_fresh("b", 71.0)
    assert not servers.is_fresh("b", 71.1)


def test_jumps_are_no_time(lab: SimpleNamespace) -> None:
    clock = SimpleNamespace(now=lambda: clock.time, time=100.0)
    steady = lab.steady.SteadyTime(clock, longest=10.0)
    seen: list[float] = []
    for step in (0, 10, 10.5, 1e6, 0, 3, -50, 2, -1e6, 4):
        clock.time += step
        seen.append(steady.now())
    assert seen == [100, 110, 110, 110, 110, 113, 113, 115, 115, 119]


def test_nobody_is_taken_for_dead_right_after_the_start(lab: SimpleNamespace) -> None:
    servers = lab.servers.Servers(LIMITS, 100.0)
    had_time = [servers.have_had_time(float(moment)) for moment in range(100, 122)]
    assert had_time == [False] * 20 + [True] * 2


def test_creations_count_for_a_while(lab: SimpleNamespace) -> None:
    servers = table(lab)
    servers.register("a", 0.0, 5, "r", 30.0)
    servers.count_creation("a", 30.0)
    servers.count_creation("a", 60.0)
    servers.register("a", 40.0, 5, "r", 70.0)
    assert [load.recent for load in servers.loads(80.0)] == [2]
    assert [load.recent for load in servers.loads(95.0)] == [1]


# ---- leases


def test_steps_for_every_standing(lab: SimpleNamespace) -> None:
    Standing, Step, next_step = lab.leases.Standing, lab.leases.Step, lab.leases.next_step
    expected = {
        Standing.OFFERED: (Step.REVOKE, Step.REVOKE),
        Standing.HELD: (Step.ANSWER, Step.ANSWER),
        Standing.RECOVERED: (Step.WAIT, Step.REVOKE),
        Standing.DOUBTED: (Step.REVOKE, Step.REVOKE),
        Standing.UNWANTED: (Step.REVOKE, Step.REVOKE),
    }
    for standing in Standing:
        lease = lab.leases.Lease(1, 2, "a", ("b",), 60.0, standing)
        assert (next_step(lease, False), next_step(lease, True)) == expected[standing]
    assert next_step(None, False) is next_step(None, True) is Step.GRANT


@pytest.fixture
def leases(lab: SimpleNamespace) -> Any:
    """One lease of chunk 1 at version 2, of `a` with `b`: heard at 0, so until 60."""
    leases = lab.leases.Leases(60.0)
    leases.offer(1, 2, "a", ["b"], 0.0)
    return leases


def test_a_lease_ends_and_stays_ended(leases: Any) -> None:
    assert leases.running(1, 59.9).until == 60.0
    assert leases.claim("a", [(1, 2)], 60.0, 60.0) == []
    assert leases.running(1, 60.0) is None
    assert leases.running(1, 0.0) is None
    assert leases.confirm(1, 2, 60.0) is None


@pytest.mark.parametrize(
    ("server", "claim"), [("b", (1, 2)), ("a", (1, 1)), ("a", (1, 3)), ("a", (2, 2)), ("c", (1, 2))]
)
def test_a_claim_of_something_else_renews_nothing(leases: Any, server: str, claim: tuple[int, int]) -> None:
    assert leases.claim(server, [claim], 30.0, 30.0) == []
    assert leases.running(1, 30.0).until == 60.0


def test_a_claim_renews_from_when_the_heartbeat_was_heard_and_never_shortens(leases: Any) -> None:
    assert leases.claim("a", [(1, 2)], 30.0, 31.0) == [1]
    assert leases.running(1, 89.0).until == 90.0
    assert leases.claim("a", [(1, 2)], 20.0, 32.0) == [1]
    assert leases.running(1, 89.0).until == 90.0


def test_what_becomes_of_each_standing(lab: SimpleNamespace, leases: Any) -> None:
    Standing = lab.leases.Standing

    def standing() -> Any:
        return leases.running(1, 1.0).standing

    assert standing() is Standing.OFFERED
    assert leases.confirm(1, 1, 1.0) is None
    assert leases.confirm(1, 2, 1.0).standing is standing() is Standing.HELD
    leases.doubt("b")
    assert standing() is Standing.HELD
    leases.doubt("a")
    assert standing() is Standing.DOUBTED
    assert leases.claim("a", [(1, 2)], 0.0, 1.0) == [1]
    assert standing() is Standing.HELD
    leases.condemn(leases.running(1, 1.0))
    leases.doubt("a")
    assert standing() is Standing.UNWANTED
    assert leases.claim("a", [(1, 2)], 1.0, 1.0) == []
    assert leases.confirm(1, 2, 1.0) is None
    assert standing() is Standing.UNWANTED
    leases = lab.leases.Leases(60.0)
    leases.recover({1: lab.leases.Offered(2, "a", ("b",))}.get, 0.0)
    assert leases.running(2, 1.0) is None
    assert leases.running(1, 59.9).until == 60.0
    leases.doubt("a")
    assert standing() is Standing.RECOVERED
    assert leases.claim("a", [(1, 2)], 0.0, 1.0) == [1]
    assert standing() is Standing.HELD


def test_an_older_lease_ends_nothing_but_itself(leases: Any) -> None:
    old = leases.running(1, 1.0)
    leases.end(old)
    assert leases.running(1, 1.0) is None
    leases.offer(1, 3, "b", [], 1.0)
    leases.end(old)
    leases.condemn(old)
    assert leases.running(1, 1.0).version == 3
    assert leases.running(1, 1.0).standing.name == "OFFERED"


def test_no_delay_and_no_skew_makes_a_lease_outlive_what_the_master_thinks(lab: SimpleNamespace) -> None:
    rng = random.Random(3)
    for _ in range(500):
        skew, sent_at = rng.uniform(-1e6, 1e6), rng.uniform(0, 100)
        heard_at = sent_at + rng.choice([0.0, rng.expovariate(0.2)])
        leases = lab.leases.Leases(LIMITS.lease)
        servers = table(lab)
        servers.register("a", sent_at + skew, 0, "r", heard_at)
        server = servers.get("a")
        held = leases.offer(1, 2, "a", [], server.heard)
        until_there = server.sent + LIMITS.lease - skew  # in real time, the master's
        assert until_there <= held.until + 1e-6


# ---- the log and the state


OPERATIONS = [
    ("CreateFile", ("/a",)),
    ("ReserveHandle", (1,)),
    ("ReserveHandle", (2,)),
    ("AddChunk", ("/a", 0, 2, ("x", "y"))),
    ("RaiseVersion", (2, 2)),
    ("RaiseVersion", (2, 3)),
    ("CommitVersion", (2, 3, ("x", "y"), "y")),
    ("CreateFile", ("/b",)),
]


def operations(lab: SimpleNamespace) -> list[Any]:
    return [getattr(lab.operations, kind)(*values) for kind, values in OPERATIONS]


def test_operations_survive_the_log(lab: SimpleNamespace) -> None:
    for operation in operations(lab):
        record = lab.operations.to_record(operation)
        ((again,), _) = lab.oplog.scan(lab.oplog.encode(record))
        assert lab.operations.from_record(again) == operation


@pytest.mark.parametrize(
    "record", [None, 1, {}, {"op": "x"}, {"op": "create_file"}, {"op": "create_file", "p": 1}]
)
def test_a_record_that_is_no_operation_is_refused(lab: SimpleNamespace, record: Any) -> None:
    with pytest.raises(ValueError, match=r"no operation|other fields"):
        lab.operations.from_record(record)


def test_every_prefix_of_the_log_is_a_state_and_handles_only_rise(lab: SimpleNamespace) -> None:
    state, seen = lab.state.State(), []
    for operation in operations(lab):
        state.apply(operation)
        chunk = state.chunks.get(2)
        seen.append((state.next_handle, chunk and (chunk.version, chunk.attempted, chunk.primary)))
    assert seen == [
        (1, None),
        (2, None),
        (3, None),
        (3, (1, 1, None)),
        (3, (1, 2, None)),
        (3, (1, 3, None)),
        (3, (3, 3, "y")),
        (3, (3, 3, "y")),
    ]


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("CreateFile", ("/a",)),
        ("ReserveHandle", (2,)),
        ("ReserveHandle", (4,)),
        ("AddChunk", ("/a", 1, 3, ())),
        ("AddChunk", ("/a", 1, 2, ())),
        ("AddChunk", ("/a", 0, 1, ())),
        ("RaiseVersion", (2, 3)),
        ("RaiseVersion", (1, 9)),
        ("CommitVersion", (2, 3, ("x",), "x")),
        ("CommitVersion", (2, 4, ("x",), "x")),
        ("CommitVersion", (1, 2, ("x",), "x")),
    ],
)
def test_an_operation_that_does_not_fit_changes_nothing(lab: SimpleNamespace, kind: str, values: Any) -> None:
    state = lab.state.State()
    for operation in operations(lab):
        state.apply(operation)
    before = (state.next_handle, dict(state.chunks), state.namespace.file("/a").chunks[:])
    with pytest.raises((ValueError, errors.RemoteError)):
        state.apply(getattr(lab.operations, kind)(*values))
    assert (state.next_handle, state.chunks, state.namespace.file("/a").chunks) == before


def test_a_log_torn_at_every_byte_keeps_what_is_whole(lab: SimpleNamespace) -> None:
    whole = [lab.oplog.encode(lab.operations.to_record(operation)) for operation in operations(lab)]
    data = b"".join(whole)
    ends = [sum(map(len, whole[:count])) for count in range(len(whole) + 1)]
    records, _ = lab.oplog.scan(data)
    assert len(records) == len(whole)
    for size in range(len(data) + 1):
        kept = max(count for count, end in enumerate(ends) if end <= size)
        for tail in (b"", b"\0" * 40, b"\xff" * 40):
            assert lab.oplog.scan(data[:size] + tail) == (records[:kept], ends[kept])


def test_any_flipped_bit_of_the_last_record_is_noticed(lab: SimpleNamespace) -> None:
    first, last = lab.oplog.encode({"op": 1}), lab.oplog.encode({"op": 2})
    for bit in range(len(last) * 8):
        bent = bytearray(last)
        bent[bit // 8] ^= 1 << bit % 8
        assert lab.oplog.scan(first + bytes(bent)) == ([{"op": 1}], len(first))


def test_a_whole_record_that_is_no_msgpack_stops_the_master(lab: SimpleNamespace) -> None:
    body = b"\xc1"
    with pytest.raises(lab.oplog.LogBroken, match="byte 0"):
        lab.oplog.scan(len(body).to_bytes(4, "big") + crc32c(body).to_bytes(4, "big") + body)


def test_recovery_cuts_the_tail_and_goes_on_behind_it(lab: SimpleNamespace, tmp_path: Path) -> None:
    disk = OsDisk(tmp_path)
    log = lab.oplog.OpLog(disk)
    assert list(log.recover(1)) == []
    for number in range(3):
        log.append({"n": number})
    log.wait_durable(log.end)
    log.close()
    path = tmp_path / "oplog.1"
    path.write_bytes(path.read_bytes()[:-1])
    log = lab.oplog.OpLog(disk)
    assert list(log.recover(1)) == [{"n": 0}, {"n": 1}]
    log.append({"n": 9})
    log.wait_durable(log.end)
    log.close()
    assert lab.oplog.scan(path.read_bytes()) == ([{"n": 0}, {"n": 1}, {"n": 9}], path.stat().st_size)


class FailingFile:
    """A file on which the next operation of a name fails, half done, or waits."""

    def __init__(self, file: Any) -> None:
        self.file = file
        self.failing: set[str] = set()
        self.synced = 0
        self.gate = threading.Event()
        self.gate.set()

    def __getattr__(self, name: str) -> Any:
        if name in self.failing:
            raise OSError(errno.ENOSPC, "full")
        return getattr(self.file, name)

    def pwrite(self, offset: int, data: bytes) -> None:
        if "pwrite" in self.failing:
            self.file.pwrite(offset, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "full")
        self.file.pwrite(offset, data)

    def sync(self) -> None:
        assert self.gate.wait(10)
        if "sync" in self.failing:
            raise OSError(errno.EIO, "broken")
        self.file.sync()
        self.synced += 1


@pytest.fixture
def failing(lab: SimpleNamespace, tmp_path: Path) -> Iterator[tuple[Any, FailingFile]]:
    disk = OsDisk(tmp_path)
    files: list[FailingFile] = []

    def open_file(name: str, *, create: bool = False) -> FailingFile:
        files.append(FailingFile(disk.open(name, create=create)))
        return files[-1]

    log = lab.oplog.OpLog(SimpleNamespace(open=open_file, list=disk.list))
    assert list(log.recover(1)) == []
    yield log, files[0]
    log.close()


@pytest.mark.parametrize("operation", ["sync", "pwrite"])
def test_a_log_that_cannot_be_trusted_is_used_no_more(
    lab: SimpleNamespace, failing: Any, operation: str
) -> None:
    log, file = failing
    log.append({"n": 0})
    log.wait_durable(log.end)
    file.failing = {operation}
    log.append({"n": 1})
    with pytest.raises(lab.oplog.LogBroken):
        log.wait_durable(log.end)
    file.failing = set()
    with pytest.raises(lab.oplog.LogBroken):
        log.wait_durable(log.end)
    with pytest.raises(lab.oplog.LogBroken):
        log.append({"n": 2})


def test_those_who_wait_share_a_sync_and_none_is_let_go_early(lab: SimpleNamespace, failing: Any) -> None:
    log, file = failing
    file.gate.clear()
    log.append({"n": 0})
    durable: list[int] = []

    def wait(position: int) -> None:
        log.wait_durable(position)
        durable.append(position)

    threads = [threading.Thread(target=wait, args=(log.end,), daemon=True)]
    threads[0].start()
    wait_until(lambda: log._syncing)
    for number in range(20):
        log.append({"n": number})
        threads.append(threading.Thread(target=wait, args=(log.end,), daemon=True))
        threads[-1].start()
    assert durable == []
    file.gate.set()
    for thread in threads:
        thread.join(10)
    assert len(durable) == 21
    assert file.synced == 1 + 2  # the first was the recovery's


def test_a_sync_that_fails_lets_nobody_wait_for_ever(lab: SimpleNamespace, failing: Any) -> None:
    log, file = failing
    file.gate.clear()
    file.failing = {"sync"}
    told: list[int] = []

    def wait(position: int) -> None:
        with pytest.raises(lab.oplog.LogBroken):
            log.wait_durable(position)
        told.append(position)

    threads: list[threading.Thread] = []
    for number in range(9):
        log.append({"n": number})
        threads.append(threading.Thread(target=wait, args=(log.end,), daemon=True))
        threads[-1].start()
        wait_until(lambda: log._syncing)
    file.gate.set()
    for thread in threads:
        thread.join(10)
    assert len(told) == 9


def test_turns_are_by_key(lab: SimpleNamespace) -> None:
    turns = lab.turns.Turns()
    inside = threading.Event()

    def enter(key: str) -> None:
        with turns.of(key):
            inside.set()

    with turns.of("a"):
        with turns.of("b"):
            pass
        thread = threading.Thread(target=enter, args=("a",), daemon=True)
        thread.start()
        assert not inside.wait(0.05)
    assert inside.wait(10)


# ---- a master over sockets


def wait_until(condition: Callable[[], Any], seconds: float = 10.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)
    return result


class JumpingClock(SystemClock):
    """The system's clock, put forward by `jump` and shifted by `skew`. Waits take slices of real time."""

    def __init__(self, world: SimpleNamespace, skew: float = 0.0) -> None:
        self.world, self.skew = world, skew

    def now(self) -> float:
        return time.monotonic() + self.world.jumped + self.skew

    def wait_for(self, condition: Any, predicate: Callable[[], bool], timeout: float | None) -> bool:
        end = None if timeout is None else self.now() + timeout
        while not predicate():
            if end is not None and self.now() >= end:
                return False
            condition.wait(0.01)
        return True


class FakeChunkserver:
    """Keeps versions, says yes, and notes what it was told."""

    def __init__(self, nodes: Nodes, name: str) -> None:
        rpc: Any = importlib.import_module("rpc")
        self.context = nodes.context(name, skew=random.Random(name).uniform(-1e4, 1e4))
        self.name = name
        self.chunks: dict[int, int] = {}
        self.claims: list[list[int]] = []
        self.heard: list[tuple[str, dict[str, Any]]] = []
        self.block: dict[str, threading.Event] = {}
        names = ("create_chunk", "advance_version", "grant_lease", "revoke_lease")
        self.server = rpc.Server(self.context, {name: self.handler(name) for name in names})
        self.client = rpc.Client(self.context)
        self.server.start()

    def handler(self, method: str) -> Callable[..., Any]:
        def handle(**args: Any) -> dict[str, Any]:
            assert set(args) == set(CATALOGUE[method].args)
            self.heard.append((method, args))
            if method in self.block:
                assert self.block[method].wait(10)
            if method in ("create_chunk", "advance_version"):
                self.chunks[args["handle"]] = args["version"]
            return {}

        return handle

    def report(self) -> dict[str, Any]:
        chunks = [[handle, version] for handle, version in self.chunks.items()]
        return {"name": self.name, "sent": self.context.clock.now(), "chunks": chunks, "used": len(chunks)}

    def tell(self, method: str, **more: Any) -> Any:
        reply = self.client.call("master", method, {**self.report(), **more}, at_most_once=False).value
        assert set(reply) == set(CATALOGUE[method].reply)
        return reply

    def register(self) -> Any:
        return self.tell("register", rack="r")

    def heartbeat(self, *leases: list[int]) -> Any:
        return self.tell("heartbeat", damaged=[], leases=list(leases))

    def stop(self) -> None:
        self.server.stop()
        self.client.close()


class Nodes:
    """Nodes of one process, that find each other by name."""

    def __init__(self, lab: SimpleNamespace, directory: Path) -> None:
        self.lab, self.directory = lab, directory
        self.ports: dict[str, int] = {}
        self.time = SimpleNamespace(jumped=0.0)
        self.master = lab.start(self.context("master"))
        rpc: Any = importlib.import_module("rpc")
        self.client = rpc.Client(self.context("client"))
        self.servers = [FakeChunkserver(self, name) for name in ("cs1", "cs2", "cs3")]
        for server in self.servers:
            server.register()

    def context(self, name: str, skew: float = 0.0) -> Context:
        network = DirectNetwork(self.ports.__getitem__, lambda port: self.ports.__setitem__(name, port))
        clock = JumpingClock(self.time, skew)
        return Context(name, {}, clock, OsDisk(self.directory / name), network, random.Random(name))

    def ask(self, method: str, **args: Any) -> Any:
        entry = CATALOGUE[method]
        assert set(args) == set(entry.args)
        try:
            reply = self.client.call("master", method, args, at_most_once=entry.at_most_once).value
        except errors.RemoteError as error:
            assert error.code in entry.errors, error
            raise
        assert set(reply) == set(entry.reply)
        return reply

    def pass_time(self, seconds: float) -> None:
        """Put the clocks forward, in steps short enough for the master to believe them."""
        time_ = self.master._metadata._time
        while seconds > 0:
            self.time.jumped += min(seconds, 5.0)
            seconds -= 5.0
            then = self.master._context.clock.now()
            wait_until(lambda then=then: time_._looked >= then)

    def restart_master(self) -> None:
        self.master.stop()
        self.master = self.lab.start(self.context("master"))

    def stop(self) -> None:
        self.client.close()
        for server in self.servers:
            server.stop()
        self.master.stop()


@pytest.fixture
def nodes(lab: SimpleNamespace, tmp_path: Path) -> Iterator[Nodes]:
    nodes = Nodes(lab, tmp_path)
    yield nodes
    nodes.stop()


def test_the_master_answers_every_method_of_its_role(nodes: Nodes) -> None:
    expected = {method.name for method in CATALOGUE.values() if method.role is Role.MASTER}
    assert set(nodes.master._server._handlers) == expected


def test_from_a_file_to_a_lease(nodes: Nodes) -> None:
    nodes.ask("create", path="/a")
    assert nodes.ask("list", path="/") == {"paths": ["/a"]}
    chunk = nodes.ask("allocate", path="/a", index=0)
    assert chunk == {"handle": 1, "version": 1, "replicas": ["cs1", "cs2", "cs3"]}
    assert nodes.ask("allocate", path="/a", index=0) == chunk
    assert nodes.ask("lookup", path="/a", index=0) == chunk
    assert nodes.ask("stat", path="/a") == {"chunks": 1}
    lease = nodes.ask("lease", handle=1)
    assert lease["version"] == 2
    assert sorted([lease["primary"], *lease["secondaries"]]) == chunk["replicas"]
    assert nodes.ask("lease", handle=1) == lease
    assert nodes.ask("lookup", path="/a", index=0)["version"] == 2
    (primary,) = [server for server in nodes.servers if server.name == lease["primary"]]
    (granted,) = [args for method, args in primary.heard if method == "grant_lease"]
    assert granted["secondaries"] == lease["secondaries"]
    assert 50.0 < granted["until"] - primary.context.clock.now() <= 60.0


def test_lease_is_renewed_on_the_chunkservers_clock(nodes: Nodes) -> None:
    nodes.ask("create", path="/a")
    nodes.ask("allocate", path="/a", index=0)
    lease = nodes.ask("lease", handle=1)
    (primary,) = [server for server in nodes.servers if server.name == lease["primary"]]
    before = primary.context.clock.now()
    ((handle, until),) = primary.heartbeat([1, lease["version"]])["leases"]
    assert handle == 1
    assert before + 60.0 <= until <= primary.context.clock.now() + 60.0
    (other, *_) = [server for server in nodes.servers if server is not primary]
    assert other.heartbeat([1, lease["version"]])["leases"] == []


@pytest.mark.parametrize(
    ("method", "args", "error"),
    [
        ("create", {"path": "a"}, errors.InvalidPath),
        ("create", {"path": "/d/a"}, errors.NoSuchFile),
        ("stat", {"path": "/x"}, errors.NoSuchFile),
        ("list", {"path": "/x"}, errors.NoSuchFile),
        ("lookup", {"path": "/x", "index": 0}, errors.NoSuchFile),
        ("allocate", {"path": "/x", "index": 0}, errors.NoSuchFile),
        ("lease", {"handle": 9}, errors.NoSuchChunk),
    ],
)
def test_errors_arrive_as_themselves(nodes: Nodes, method: str, args: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        nodes.ask(method, **args)


@pytest.mark.parametrize(
    "arguments",
    [
        {"chunks": None},
        {"chunks": [[1]]},
        {"chunks": [["1", 2]]},
        {"used": "much"},
        {"damaged": 5},
        {"leases": [[1, 2, 3]]},
        {"sent": "now"},
        {"sent": float("nan")},
        {"sent": float("inf")},
        {"name": 3},
    ],
)
def test_a_report_of_another_shape_is_refused_and_harms_nobody(
    nodes: Nodes, arguments: dict[str, Any]
) -> None:
    server = nodes.servers[0]
    args = {**server.report(), "damaged": [], "leases": [], **arguments}
    with pytest.raises(errors.BadArguments):
        nodes.client.call("master", "heartbeat", args, at_most_once=False)
    assert server.heartbeat() == {"leases": [], "delete": [], "register": False}


def test_nobody_waits_for_another_chunks_lease(nodes: Nodes) -> None:
    for path in ("/a", "/b"):
        nodes.ask("create", path=path)
        nodes.ask("allocate", path=path, index=0)
    gate = threading.Event()
    for server in nodes.servers:
        server.block["advance_version"] = gate
    answers: list[Any] = []
    threads = [
        threading.Thread(target=lambda: answers.append(nodes.ask("lease", handle=1)), daemon=True)
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    wait_until(lambda: nodes.servers[0].heard[-1][0] == "advance_version")
    for server in nodes.servers:
        server.block.clear()
    assert nodes.ask("lease", handle=2)["version"] == 2
    assert nodes.ask("lookup", path="/a", index=0)["version"] == 1
    assert nodes.servers[1].heartbeat()["delete"] == []
    assert answers == []
    gate.set()
    for thread in threads:
        thread.join(10)
    assert answers == [answers[0]] * 4
    assert answers[0]["version"] == 2


def test_two_clients_that_allocate_at_once_get_one_chunk(nodes: Nodes) -> None:
    nodes.ask("create", path="/a")
    answers: list[Any] = []
    threads = [
        threading.Thread(
            target=lambda: answers.append(nodes.ask("allocate", path="/a", index=0)), daemon=True
        )
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert answers == [answers[0]] * 6
    assert nodes.ask("stat", path="/a") == {"chunks": 1}


def test_everything_answered_is_there_after_a_restart(nodes: Nodes) -> None:
    nodes.ask("create", path="/a")
    nodes.ask("allocate", path="/a", index=0)
    lease = nodes.ask("lease", handle=1)
    nodes.restart_master()
    assert nodes.ask("stat", path="/a") == {"chunks": 1}
    assert nodes.ask("lookup", path="/a", index=0) == {"handle": 1, "version": 2, "replicas": []}
    for server in nodes.servers:
        assert server.heartbeat()["register"] is True
        server.register()
        server.heartbeat(*([[1, 2]] if server.name == lease["primary"] else []))
    assert nodes.ask("lookup", path="/a", index=0)["replicas"] == ["cs1", "cs2", "cs3"]
    assert nodes.ask("lease", handle=1) == lease
    nodes.ask("create", path="/b")
    assert nodes.ask("allocate", path="/b", index=0)["handle"] == 2


def test_a_silent_server_is_dropped_and_told_to_register_when_it_returns(nodes: Nodes) -> None:
    nodes.ask("create", path="/a")
    nodes.ask("allocate", path="/a", index=0)
    *others, silent = nodes.servers
    # Past the first dead_after seconds, in which nobody is taken for dead.
    for _ in range(9):
        nodes.pass_time(4.0)
        for server in others:
            server.heartbeat()
    wait_until(lambda: nodes.ask("lookup", path="/a", index=0)["replicas"] == ["cs1", "cs2"])
    assert silent.heartbeat()["register"] is True
    silent.register()
    assert nodes.ask("lookup", path="/a", index=0)["replicas"] == ["cs1", "cs2", "cs3"]


def test_the_lease_of_a_lost_secondary_is_taken_back_unasked(nodes: Nodes) -> None:
    nodes.ask("create", path="/a")
    nodes.ask("allocate", path="/a", index=0)
    lease = nodes.ask("lease", handle=1)
    by_name = {server.name: server for server in nodes.servers}
    lost = by_name[lease["secondaries"][0]]
    lost.chunks.clear()
    lost.register()
    heard = by_name[lease["primary"]].heard
    nodes.time.jumped += 1.0
    revoked = {"handle": 1, "version": lease["version"]}
    wait_until(lambda: ("revoke_lease", revoked) in heard)
    again = wait_until(lambda: nodes.ask("lease", handle=1))
    assert again["version"] > lease["version"]
    assert lost.name not in (again["primary"], *again["secondaries"])


def test_a_master_that_stops_leaves_no_thread(lab: SimpleNamespace, tmp_path: Path) -> None:
    before = set(threading.enumerate())
    nodes = Nodes(lab, tmp_path)
    nodes.ask("create", path="/a")
    nodes.ask("allocate", path="/a", index=0)
    nodes.stop()
    wait_until(lambda: set(threading.enumerate()) <= before)

"""Lab 2's reference: its log against every torn tail, and the state that it replays to."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from labkit import errors
from labkit.checksum import crc32c
from labkit.disk import OsDisk
from tests.master.world import wait_until

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
    path.write_bytes(path.read_bytes()[: log.size - 1])
    log = lab.oplog.OpLog(disk)
    assert list(log.recover(1)) == [{"n": 0}, {"n": 1}]
    log.append({"n": 9})
    log.wait_durable(log.end)
    log.close()
    assert lab.oplog.scan(path.read_bytes()) == ([{"n": 0}, {"n": 1}, {"n": 9}], log.size)


def test_a_sync_mostly_finds_the_file_as_long_as_before(lab: SimpleNamespace, tmp_path: Path) -> None:
    disk = OsDisk(tmp_path)
    log = lab.oplog.OpLog(disk)
    assert list(log.recover(1)) == []
    sizes: list[int] = []
    numbers = range(300, 300 + 2 * lab.oplog.ROOM // len(lab.oplog.encode({"n": 300})))  # all of one length
    for number in numbers:
        log.append({"n": number})
        log.wait_durable(log.end)
        sizes.append((tmp_path / "oplog.1").stat().st_size)
    assert set(sizes) == {lab.oplog.ROOM, 2 * lab.oplog.ROOM}
    log.rotate()
    log.append({"n": -1})
    log.wait_durable(log.end)
    log.close()
    assert list(lab.oplog.OpLog(disk).recover(1)) == [{"n": number} for number in (*numbers, -1)]


def test_rubbish_behind_a_segment_that_is_not_the_last_stops_the_master(
    lab: SimpleNamespace, tmp_path: Path
) -> None:
    disk = OsDisk(tmp_path)
    log = lab.oplog.OpLog(disk)
    assert list(log.recover(1)) == []
    log.append({"n": 0})
    end = log.size
    log.rotate()
    log.close()
    path = tmp_path / "oplog.1"
    path.write_bytes(path.read_bytes()[:end] + b"\0\1")
    with pytest.raises(lab.oplog.LogBroken, match="segment 1"):
        list(lab.oplog.OpLog(disk).recover(1))


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

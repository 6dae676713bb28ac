"""Lab 3's reference: storage against every crash and flipped bit, order as a table, and servers in one process.

Storage is tested on a disk in memory that can crash at any operation, and lets the unsynced bytes survive
in four ways: not at all, all, and either half of each write. Servers run over real sockets, on a clock
that can be hurried, with a scripted master.
"""

from __future__ import annotations

import importlib
import itertools
import math
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from labkit import Context, Limits, errors
from labkit.clock import SystemClock
from labkit.disk import OsDisk, check_name
from labkit.network import DirectNetwork
from labkit.protocol import CATALOGUE

SOLUTIONS = Path(__file__).resolve().parent.parent / "solutions"
BLOCK = 16
CHUNK = 8 * BLOCK
LIMITS = Limits(chunk_size=CHUNK, block_size=BLOCK, buffer_bytes=4 * CHUNK)


@pytest.fixture(autouse=True)
def lab(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """`lab("leases")` is the module chunkserver.leases."""
    for root in ("01_rpc", "03_chunkserver"):
        monkeypatch.syspath_prepend(str(SOLUTIONS / root))
    return lambda module: importlib.import_module(f"chunkserver.{module}" if module else "chunkserver")


# ---- a disk that crashes


class Crash(BaseException):
    """The power fails."""


Change = tuple[int, bytes]  # bytes at an offset; None in place of bytes truncates

SURVIVAL: dict[str, Callable[[int, bytes], Change]] = {
    "lost": lambda offset, data: (offset, b""),
    "kept": lambda offset, data: (offset, data),
    "first half": lambda offset, data: (offset, data[: len(data) // 2]),
    "second half": lambda offset, data: (offset + len(data) // 2, data[len(data) // 2 :]),
}
WHEN = ("before", "half", "after")


class Bytes:
    """One file: what is durable, what a running program sees, and the changes in between."""

    def __init__(self, durable: bytes = b"") -> None:
        self.durable = bytearray(durable)
        self.seen = bytearray(durable)
        self.pending: list[tuple[int, bytes | None]] = []

    @staticmethod
    def change(content: bytearray, offset: int, data: bytes | None) -> None:
        if data is None:
            del content[offset:]
            content.extend(bytes(offset - len(content)))
        elif data:
            content.extend(bytes(max(0, offset - len(content))))
            content[offset : offset + len(data)] = data


class MemoryDisk:
    """A Disk in memory. `crash_at` counts operations that change something, from 1."""

    def __init__(self, files: dict[str, bytes] | None = None) -> None:
        self.files = {name: Bytes(content) for name, content in (files or {}).items()}
        self.operations = 0
        self.crash_at = 0
        self.when = "before"
        self.survival = "lost"
        self.fail_at: dict[int, OSError] = {}
        self.dead = False
        self.before_read: Callable[[], Any] | None = None  # what happens just before the next read

    def survivor(self) -> MemoryDisk:
        """What a restarted node finds."""
        for file in self.files.values():
            self._survive(file)
        return MemoryDisk({name: bytes(file.durable) for name, file in self.files.items()})

    def _survive(self, file: Bytes, survival: str | None = None) -> None:
        for offset, data in file.pending:
            if data is not None:
                Bytes.change(file.durable, *SURVIVAL[survival or self.survival](offset, data))
            elif (survival or self.survival) != "lost":
                Bytes.change(file.durable, offset, None)
        file.pending.clear()

    def step(self, effect: Callable[[], None], half: Callable[[], None] = lambda: None) -> None:
        assert not self.dead
        self.operations += 1
        if error := self.fail_at.get(self.operations):
            half()
            raise error
        if self.operations != self.crash_at:
            effect()
            return
        if self.when != "before":
            (half if self.when == "half" else effect)()
        self.dead = True
        raise Crash

    def open(self, name: str, *, create: bool = False) -> MemoryFile:
        if check_name(name) not in self.files:
            if not create:
                raise FileNotFoundError(2, "no such file", name)
            self.step(lambda: self.files.update({name: Bytes()}))
        return MemoryFile(self, self.files[name])

    def exists(self, name: str) -> bool:
        return name in self.files

    def list(self) -> list[str]:
        return sorted(self.files)

    def remove(self, name: str) -> None:
        self.step(lambda: self.files.__delitem__(name))

    def replace(self, source: str, target: str) -> None:
        self.step(lambda: self.files.update({target: self.files.pop(source)}))


class MemoryFile:
    def __init__(self, disk: MemoryDisk, file: Bytes) -> None:
        self.disk = disk
        self.file = file

    def pread(self, offset: int, length: int) -> bytes:
        if meanwhile := self.disk.before_read:
            self.disk.before_read = None
            meanwhile()
        return bytes(self.file.seen[offset : offset + length])

    def pwrite(self, offset: int, data: Any) -> None:
        data = bytes(data)
        self.disk.step(lambda: self._pend(offset, data), lambda: self._pend(offset, data[: len(data) // 2]))

    def append(self, data: Any) -> int:
        offset = len(self.file.seen)
        self.pwrite(offset, data)
        return offset

    def truncate(self, size: int) -> None:
        self.disk.step(lambda: self._pend(size, None))

    def _pend(self, offset: int, data: bytes | None) -> None:
        Bytes.change(self.file.seen, offset, data)
        self.file.pending.append((offset, data))

    def size(self) -> int:
        return len(self.file.seen)

    def sync(self) -> None:
        survive = self.disk._survive
        self.disk.step(lambda: survive(self.file, "kept"), lambda: survive(self.file, "first half"))

    def close(self) -> None:
        pass


# ---- crash safety (part A)


class Promise:
    """What storage has promised: for the step under way, the state before it and the state after it."""

    def __init__(self) -> None:
        self.exists = False
        self.version = 0
        self.content = b""
        # A step that did not return: it may have happened.
        self.maybe_version: int | None = None
        self.maybe_exists = False
        self.safe = 0  # acknowledged bytes: the others are leftovers of appends that failed
        self.seen = b""  # of these, what `check` found
        self.instead: tuple[int, bytes] | None = None  # bytes that an overwrite under way puts somewhere

    def overwrite(self, replica: Any, offset: int, data: bytes) -> None:
        self.instead = (offset, data)
        replica.overwrite(offset, data)

    def check(self, store: Any, handle: int) -> None:
        replicas = store.intact()
        assert store.damaged() == [], "a crash is no damage"
        if not replicas:
            assert not self.exists or self.maybe_exists
            return
        assert self.exists or self.maybe_exists
        (replica,) = replicas
        assert replica.version in {self.version, self.maybe_version}
        assert replica.length >= self.safe
        _, length, held = replica.read(0, CHUNK)
        assert len(held) == length == replica.length
        old = self.content[: self.safe]
        offset, data = self.instead or (0, b"")
        new = (old[:offset] + data + old[offset + len(data) :])[: self.safe]
        assert bytes(held)[: self.safe] in (old, new), "neither what was there nor what was to be there"
        self.seen = bytes(held)[: self.safe]

    def adopt(self, store: Any) -> None:
        """Go on from what was found: of a step that did not return, either outcome was right."""
        self.exists = bool(store.intact())
        self.instead = None
        if not self.exists:
            self.content, self.safe = b"", 0
        else:
            (replica,) = store.intact()
            self.version = replica.version
            self.content = bytes(replica.read(0, CHUNK)[2])


Step = tuple[Any, ...]

STEPS: list[Step] = [
    ("create", 1),
    ("advance", 2),
    ("write", 0, b"a" * 10),
    ("write", 10, b"b" * 10),  # over a block border
    ("write", 20, b"c" * 40),  # over several
    ("write", 64, b"d" * 3),  # a hole in front
    ("leftover", 67, b"x" * 30),  # never acknowledged
    ("advance", 3),
    ("write", 67, b"e" * 2),  # over the leftover, ends inside its first block
    ("leftover", 69, b"y" * 30),
    ("advance", 5),
    ("write", 90, b"f" * 10),  # over a leftover, with a hole that it fills
    ("leftover", 100, b"z" * 20),
    ("overwrite", 20, b"g" * 5),  # inside one block
    ("overwrite", 8, b"h" * 30),  # over block borders, both ends in part
    ("overwrite", 16, b"i" * 16),  # a block, exactly
    ("overwrite", 95, b"j" * 10),  # over the end, where a leftover is
    ("overwrite", 108, b"k" * 4),  # behind the end
    ("pad", 112),
    ("overwrite", CHUNK - 3, b"l" * 3),
    ("remove",),
]


def perform(promise: Promise, store: Any, handle: int, step: Step) -> None:
    """Do one step; the promise is renewed when it returns."""
    match step:
        case ("create", version):
            promise.maybe_exists, promise.maybe_version = True, version
            store.create(handle, version)
            promise.exists, promise.version = True, version
        case ("advance", version):
            promise.maybe_version = version
            store.get(handle).advance(version)
            promise.version = version
        case ("write" | "leftover", offset, data):
            store.get(handle).write(offset, data)
            gap = bytes(max(0, offset - len(promise.content)))
            promise.content = (promise.content + gap)[:offset] + data
            if step[0] == "write":
                promise.safe = len(promise.content)
        case ("overwrite", offset, data):
            end = offset + len(data)
            gap = bytes(max(0, offset - len(promise.content)))
            promise.overwrite(store.get(handle), offset, data)
            promise.content = (promise.content + gap)[:offset] + data + promise.content[end:]
            promise.safe = max(promise.safe, end)
            promise.instead = None
        case ("pad", offset):
            store.get(handle).pad(offset, CHUNK)
            promise.content = promise.content[:offset] + bytes(CHUNK - offset)
            promise.safe = CHUNK
        case ("remove",):
            promise.maybe_exists = True
            promise.safe = 0
            store.delete(handle, promise.version)
            promise.__init__()
        case _:
            raise AssertionError(step)


def run_until_crash(lab: Any, disk: MemoryDisk, steps: list[Step]) -> Promise:
    promise = Promise()
    try:
        store = lab("store").Store(disk, BLOCK)
        for step in steps:
            perform(promise, store, 7, step)
    except Crash:
        pass
    return promise


def every_crash(operations: int) -> Iterator[tuple[int, str, str]]:
    return itertools.product(range(1, operations + 1), WHEN, SURVIVAL)


def test_no_crash_at_any_disk_operation_costs_an_acknowledged_byte(lab: Any) -> None:
    clean = MemoryDisk()
    run_until_crash(lab, clean, STEPS)
    assert clean.operations > 40
    for at, when, survival in every_crash(clean.operations):
        disk = MemoryDisk()
        disk.crash_at, disk.when, disk.survival = at, when, survival
        promise = run_until_crash(lab, disk, STEPS)
        assert disk.dead
        recovered = disk.survivor()
        store = lab("store").Store(recovered, BLOCK)
        store.recover()
        try:
            promise.check(store, 7)
            # The recovered replica must be as good as a new one: write, restart and read once more.
            if store.intact():
                (replica,) = store.intact()
                replica.write(promise.safe, b"more")
                again = lab("store").Store(recovered.survivor(), BLOCK)
                again.recover()
                _, length, held = again.get(7).read(0, 2 * CHUNK)
                assert (length, bytes(held)) == (promise.safe + 4, promise.seen + b"more")
        except Exception as error:
            raise AssertionError(f"after a crash {when} operation {at}, unsynced bytes {survival}") from error


def test_no_second_crash_during_recovery_costs_an_acknowledged_byte(lab: Any) -> None:
    steps = STEPS[:9]
    clean = MemoryDisk()
    run_until_crash(lab, clean, steps)
    for at, survival in itertools.product(range(1, clean.operations + 1), SURVIVAL):
        first = MemoryDisk()
        first.crash_at, first.when, first.survival = at, "half", survival
        promise = run_until_crash(lab, first, steps)
        files = {name: bytes(file.durable) for name, file in first.survivor().files.items()}
        for again, when in itertools.product(range(1, 10), WHEN):
            second = MemoryDisk(files)
            second.crash_at, second.when, second.survival = again, when, survival
            try:
                lab("store").Store(second, BLOCK).recover()
            except Crash:
                store = lab("store").Store(second.survivor(), BLOCK)
                store.recover()
                promise.check(store, 7)


@pytest.mark.parametrize("seed", range(100))
def test_random_mutations_with_a_crash_keep_what_was_acknowledged(lab: Any, seed: int) -> None:
    rng = random.Random(seed)
    disk, promise = MemoryDisk(), Promise()
    for _ in range(6):
        disk.crash_at, disk.when = rng.randrange(1, 60), rng.choice(WHEN)
        disk.survival = rng.choice(list(SURVIVAL))
        store = lab("store").Store(disk, BLOCK)
        try:
            store.recover()
            promise.check(store, 7)
            promise.adopt(store)
            while True:
                perform(promise, store, 7, random_step(rng, promise))
        except Crash:
            disk = disk.survivor()
    store = lab("store").Store(disk, BLOCK)
    store.recover()
    promise.check(store, 7)


def random_step(rng: random.Random, promise: Promise) -> Step:
    if not promise.exists:
        return ("create", 1)
    if promise.safe > CHUNK - 20:
        return ("remove",)
    if rng.random() < 0.1:
        return ("advance", promise.version + 1)
    offset = promise.safe + rng.choice((0, 0, 0, 3, BLOCK))
    data = bytes([rng.randrange(256)]) * rng.randrange(1, CHUNK - offset + 1 if rng.random() < 0.1 else 4)
    if rng.random() < 0.4:
        return ("overwrite", rng.randrange(offset + 1), data)
    return (rng.choice(("write", "leftover")), offset, data)


def test_a_short_log_replaces_one_that_has_grown(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab("log"), "SPARE_SLOTS", 8)
    disk = MemoryDisk()
    steps: list[Step] = [("create", 1), *(("write", n, b"%d" % (n % 10)) for n in range(40))]
    run_until_crash(lab, disk, steps)
    slots = disk.open("7.meta").size() // lab("metalog").SLOT.size
    assert slots < 40
    for at, when in itertools.product(range(1, disk.operations + 1), ("half", "after")):
        crashed = MemoryDisk()
        crashed.crash_at, crashed.when, crashed.survival = at, when, "first half"
        promise = run_until_crash(lab, crashed, steps)
        store = lab("store").Store(crashed.survivor(), BLOCK)
        store.recover()
        promise.check(store, 7)


def test_a_disk_error_leaves_a_replica_that_survives_the_next_crash(lab: Any) -> None:
    steps = STEPS[:-1]
    clean = MemoryDisk()
    run_until_crash(lab, clean, steps)
    for failing in range(1, clean.operations + 1):
        for crash, survival in itertools.product(range(failing + 1, failing + 7), ("lost", "kept")):
            disk = MemoryDisk()
            disk.fail_at = {failing: OSError(28, "the disk is full")}
            disk.crash_at, disk.when, disk.survival = crash, "half", survival
            promise, store = Promise(), lab("store").Store(disk, BLOCK)
            try:
                for step in steps:
                    try:
                        perform(promise, store, 7, step)
                    except OSError:
                        perform(promise, store, 7, step)
            except Crash:
                pass
            except errors.Corrupt:
                # An overwrite whose bytes the disk did not take: of no use now, whole again after a restart.
                assert store.damaged() and promise.instead
            after = lab("store").Store(disk.survivor(), BLOCK)
            after.recover()
            promise.check(after, 7)


def test_a_full_disk_does_not_keep_a_replica_from_being_recovered(lab: Any) -> None:
    disk = flipped(replica_with(lab, b"abc"), "7.meta", 0)
    disk.fail_at = {1: OSError(28, "the disk is full")}
    store = lab("store").Store(disk, BLOCK)
    store.recover()
    assert bytes(store.get(7).read(0, 3)[2]) == b"abc"
    store.get(7).write(3, b"d")
    assert lab("metalog").replay(bytes(disk.files["7.meta"].durable), BLOCK).flawless


# ---- damage (part A)


def replica_with(lab: Any, *pieces: bytes) -> MemoryDisk:
    disk = MemoryDisk()
    store = lab("store").Store(disk, BLOCK)
    store.create(7, 3)
    for piece in pieces:
        store.get(7).write(store.get(7).length, piece)
    return disk


def flipped(disk: MemoryDisk, name: str, bit: int) -> MemoryDisk:
    copy = disk.survivor()
    for content in (copy.files[name].durable, copy.files[name].seen):
        content[bit // 8] ^= 1 << bit % 8
    return copy


def test_a_flipped_bit_of_the_data_is_noticed_before_it_is_served(lab: Any) -> None:
    clean = replica_with(lab, b"a" * 10, b"b" * 20, b"c" * 5)
    for bit in range(8 * 35):
        store = lab("store").Store(flipped(clean, "7.data", bit), BLOCK)
        store.recover()
        replica = store.get(7)
        assert replica.length == 35, "a flipped bit must not look like a shorter replica"
        with pytest.raises(errors.Corrupt):
            replica.read(bit // 8, 1)
        assert store.damaged() == [replica]
        assert store.intact() == []
        with pytest.raises(errors.Corrupt):
            replica.write(35, b"x")
        with pytest.raises(errors.Corrupt):
            replica.read((bit // 8 + BLOCK) % 35, 1)


def test_a_flipped_bit_of_the_metadata_is_repaired_or_noticed(lab: Any) -> None:
    clean = replica_with(lab, b"a" * 10, b"b" * 20, b"c" * 5)
    for bit in range(0, 8 * clean.open("7.meta").size(), 3):
        disk = flipped(clean, "7.meta", bit)
        store = lab("store").Store(disk, BLOCK)
        store.recover()
        (replica,) = store.intact()
        assert (replica.version, bytes(replica.read(0, CHUNK)[2])) == (3, b"a" * 10 + b"b" * 20 + b"c" * 5)
        again = lab("metalog").replay(bytes(disk.files["7.meta"].seen), BLOCK)
        assert again.flawless, "recovery left the flipped bit behind"


def test_a_batch_unreadable_in_both_copies_is_damage_unless_it_is_the_last(lab: Any) -> None:
    metalog, blocks = lab("metalog"), lab("blocks")
    batches = [[blocks.SetVersion(3)], [blocks.SetVersion(4)], [blocks.SetVersion(5)]]
    raw = [metalog.encode(number, entries) for number, entries in enumerate(batches)]
    zeros = bytes(len(raw[0]))
    assert metalog.replay(raw[0] + raw[1] + zeros, BLOCK).contents.version == 4
    assert not metalog.replay(raw[0] + raw[1] + zeros, BLOCK).flawless
    for missing in (0, 1):
        with pytest.raises(blocks.Damaged):
            metalog.replay(b"".join(zeros if n == missing else row for n, row in enumerate(raw)), BLOCK)
    with pytest.raises(blocks.Damaged):
        metalog.replay(b"", BLOCK)


def test_a_missing_or_short_data_file_is_damage(lab: Any) -> None:
    for spoil in ("remove", "truncate"):
        for restart in (True, False):
            disk = replica_with(lab, b"a" * 30).survivor()
            store = lab("store").Store(disk, BLOCK)
            store.recover()
            if spoil == "remove":
                del disk.files["7.data"]
            else:
                del disk.files["7.data"].seen[20:]
            if restart:
                store = lab("store").Store(disk, BLOCK)
                store.recover()
            for use in (lambda r: r.read(0, 30), lambda r: r.write(30, b"x")):
                with pytest.raises(errors.Corrupt):
                    use(store.get(7))
            assert [replica.handle for replica in store.damaged()] == [7]


def test_a_damaged_replica_is_not_made_anew_but_can_be_deleted(lab: Any) -> None:
    store = lab("store").Store(flipped(replica_with(lab, b"abc"), "7.data", 0), BLOCK)
    store.recover()
    with pytest.raises(errors.Corrupt):
        store.get(7).read(0, 1)
    with pytest.raises(errors.StaleVersion):
        store.create(7, 3)
    assert store.delete(7, None)
    store.create(7, 3)
    assert store.get(7).length == 0


def test_an_overwrite_verifies_the_block_it_keeps_a_part_of(lab: Any) -> None:
    disk = flipped(replica_with(lab, b"a" * 30), "7.data", 8 * 18)
    store = lab("store").Store(disk, BLOCK)
    store.recover()
    with pytest.raises(errors.Corrupt):
        store.get(7).write(20, b"x")


def test_a_read_beside_an_overwrite_is_not_taken_for_damage(lab: Any) -> None:
    disk = replica_with(lab, b"a" * 5, b"b" * 40)
    store = lab("store").Store(disk, BLOCK)
    store.recover()
    replica = store.get(7)
    disk.before_read = lambda: replica.write(5, b"c" * 30)
    _, length, held = replica.read(0, CHUNK)
    assert (length, bytes(held)) == (35, b"a" * 5 + b"c" * 30)
    assert store.intact() == [replica]


# ---- the buffer (part B)


def put(buffer: Any, data_id: str, data: bytes) -> None:
    buffer.put(data_id, 0, len(data), data)


def test_the_buffer_evicts_what_was_unused_for_longest(lab: Any) -> None:
    buffer = lab("buffer").DataBuffer(10, 6)
    put(buffer, "a", b"1234")
    put(buffer, "b", b"1234")
    assert buffer.get("a") == b"1234"
    put(buffer, "c", b"1234")
    assert [buffer.get(name) for name in "abc"] == [b"1234", None, b"1234"]
    put(buffer, "d", b"")
    assert buffer.get("d") == b"" and buffer.get("a") == b"1234"


def test_an_item_above_the_limit_is_refused_and_evicts_nothing(lab: Any) -> None:
    buffer = lab("buffer").DataBuffer(10, 6)
    put(buffer, "a", b"1234")
    with pytest.raises(errors.TooLarge):
        buffer.put("b", 0, 7, b"123")
    for offset, data in ((-1, b"12"), (5, b"12"), (7, b"")):
        with pytest.raises(errors.BadArguments):
            buffer.put("b", offset, 6, data)
    assert buffer.get("a") == b"1234" and buffer.get("b") is None


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_pieces_are_data_once_all_are_here(lab: Any, order: tuple[int, ...]) -> None:
    data = b"abcdefghij"
    buffer = lab("buffer").DataBuffer(20, 10)
    for turn, index in enumerate(order):
        assert buffer.get("d") is None
        for _ in range(1 + turn % 2):  # some of them twice
            buffer.put("d", 3 * index, 10, data[3 * index : 3 * index + 3])
    assert buffer.get("d") == data
    buffer.put("d", 3, 10, data[3:6])
    assert buffer.get("d") == data


def test_data_that_is_cut_anew_is_not_mixed_up(lab: Any) -> None:
    buffer = lab("buffer").DataBuffer(20, 10)
    buffer.put("d", 0, 10, b"abcdef")
    buffer.put("d", 4, 10, b"efgh")
    buffer.put("d", 0, 10, b"abcd")
    assert buffer.get("d") is None
    buffer.put("d", 8, 10, b"ij")
    assert buffer.get("d") == b"abcdefghij"


def test_pieces_of_data_that_never_comes_are_evicted(lab: Any) -> None:
    buffer = lab("buffer").DataBuffer(20, 10)
    for number in range(30):
        buffer.put(f"d{number}", 0, 10, b"123456")
    assert buffer._held <= 20
    assert buffer.get("d29") is None
    buffer.put("d29", 6, 10, b"7890")
    assert buffer.get("d29") == b"1234567890"


# ---- order (part C)


# Events: (time, "arrive", serial, "ok" or "refused") and (time, "turn", serial, expected delay); a delay of 0
# means that it is applied there and then.
TURNS = {
    "in order": [(0, "arrive", 1, "ok"), (0, "turn", 1, 0), (0, "arrive", 2, "ok"), (0, "turn", 2, 0)],
    "a later one waits for the earlier": [
        (0, "arrive", 2, "ok"),
        (0, "turn", 2, 2),
        (1, "arrive", 1, "ok"),
        (1, "turn", 2, 1),
        (1, "turn", 1, 0),
        (1, "turn", 2, 0),
    ],
    "what never comes is given up, and refused later": [
        (0, "arrive", 3, "ok"),
        (1.5, "turn", 3, 0.5),
        (2, "turn", 3, 0),
        (2, "arrive", 1, "refused"),
        (2, "arrive", 2, "refused"),
        (2, "arrive", 4, "ok"),
        (2, "turn", 4, 0),
    ],
    "giving up lets the lowest waiting go first": [
        (0, "arrive", 3, "ok"),
        (1, "arrive", 2, "ok"),
        (2, "turn", 3, float("inf")),
        (2, "turn", 2, 0),
        (2, "turn", 3, 0),
    ],
    "one gap given up does not give up the next": [
        (0, "arrive", 2, "ok"),
        (1, "arrive", 4, "ok"),
        (2, "turn", 2, 0),
        (2, "turn", 4, 1),
        (2, "arrive", 3, "ok"),
        (2, "turn", 3, 0),
        (2, "turn", 4, 0),
    ],
    "the same number twice": [
        (0, "arrive", 1, "ok"),
        (0, "arrive", 1, "refused"),
        (0, "turn", 1, 0),
        (0, "arrive", 1, "refused"),
    ],
}


@pytest.mark.parametrize("events", TURNS.values(), ids=TURNS.keys())
def test_turns(lab: Any, events: list[tuple[float, str, int, Any]]) -> None:
    turns = lab("serials").Turns(2.0)
    for now, what, serial, expected in events:
        if what == "turn":
            assert turns.delay(serial, now) == expected, (now, what, serial)
            if expected == 0:
                turns.done(serial)
        elif expected == "ok":
            turns.arrive(serial, now)
        else:
            with pytest.raises(errors.OutOfOrder):
                turns.arrive(serial, now)


# ---- leases (part E)


def test_a_lease_ends_on_time_and_is_renewed_only_for_its_version(lab: Any) -> None:
    leases, lease = lab("leases").Leases(), lab("leases").Lease
    leases.grant(7, lease(2, 60.0, ("b",)))
    assert leases.current(7, 59.9) == lease(2, 60.0, ("b",))
    assert leases.current(7, 60.0) is None
    leases.renew(7, 3, 100.0)
    leases.renew(7, 2, 50.0)
    assert leases.held(59.0) == {7: 2} and leases.held(60.0) == {}
    leases.renew(7, 2, 70.0)
    assert leases.held(69.0) == {7: 2}


def test_an_ended_lease_does_not_come_back(lab: Any) -> None:
    leases, lease = lab("leases").Leases(), lab("leases").Lease
    leases.grant(7, lease(2, 60.0, ()))
    leases.end(7, 2)
    assert leases.current(7, 0.0) is None
    leases.renew(7, 2, 100.0)
    with pytest.raises(errors.StaleVersion):
        leases.grant(7, lease(2, 60.0, ()))
    leases.grant(7, lease(3, 60.0, ()))
    leases.end(7, 2)
    assert leases.held(0.0) == {7: 3}


def test_a_grant_that_comes_twice_or_late_takes_nothing_back(lab: Any) -> None:
    leases, lease = lab("leases").Leases(), lab("leases").Lease
    leases.grant(7, lease(3, 60.0, ()))
    leases.grant(7, lease(3, 50.0, ()))
    with pytest.raises(errors.StaleVersion):
        leases.grant(7, lease(2, 90.0, ()))
    assert leases.current(7, 55.0) == lease(3, 60.0, ())


# ---- servers


class TestClock(SystemClock):
    """Real time, so that a busy machine is not mistaken for a slow peer; `hurry` through waits, or jump ahead.

    Waits in progress notice either within 10 real milliseconds.
    """

    __test__ = False
    SLICE = 0.01

    def __init__(self) -> None:
        self.ahead = 0.0
        self.rate = 1.0
        self.since = time.monotonic()

    def now(self) -> float:
        return (time.monotonic() - self.since) * self.rate + self.ahead

    def set_rate(self, rate: float) -> None:
        self.ahead, self.since, self.rate = self.now(), time.monotonic(), rate

    @contextmanager
    def hurry(self) -> Iterator[None]:
        self.set_rate(20.0)
        try:
            yield
        finally:
            self.set_rate(1.0)

    def _in_slices(self, timeout: float | None, wait: Callable[[float], bool]) -> bool:
        until = math.inf if timeout is None else self.now() + timeout
        while (left := until - self.now()) > 0:
            if wait(min(self.SLICE, left / self.rate)):
                return True
        return wait(0.0)

    def sleep(self, seconds: float) -> None:
        self._in_slices(seconds, lambda real: bool(time.sleep(real)))

    def wait(self, condition: threading.Condition, timeout: float | None) -> bool:
        # One slice: a notification may come just when it ends, so the caller must look again.
        until = math.inf if timeout is None else self.now() + timeout
        condition.wait(max(0.0, min(self.SLICE, (until - self.now()) / self.rate)))
        return self.now() < until

    def wait_for(self, condition: Any, predicate: Any, timeout: float | None) -> bool:
        return self._in_slices(timeout, lambda real: condition.wait_for(predicate, real))

    def wait_readable(self, sock: socket.socket, timeout: float | None) -> bool:
        return self._in_slices(timeout, lambda real: SystemClock.wait_readable(self, sock, real))


class Cell:
    """Chunkservers, a scripted master and one client in this process."""

    def __init__(self, lab: Any, root: Path) -> None:
        self.lab, self.root = lab, root
        self.rpc = importlib.import_module("rpc")
        self.clock = TestClock()
        self.ports: dict[str, int] = {}
        self.running: list[Any] = []
        self.notes: list[tuple[str, str, dict[str, Any]]] = []
        self.reports: list[tuple[str, dict[str, Any]]] = []
        self.answer: Callable[[str, dict[str, Any]], dict[str, Any]] = lambda method, report: {}
        self.client = self.rpc.Client(self.context("client"))
        self.data_ids = itertools.count()

    def context(self, name: str) -> Context:
        def annotate(event: str, /, **facts: Any) -> None:
            self.notes.append((name, event, facts))

        def announce(port: int) -> None:
            self.ports[name] = port

        return Context(
            name=name,
            config={"master": "master", "rack": "r1"},
            clock=self.clock,
            disk=OsDisk(self.root / name),
            network=DirectNetwork(lambda peer: self.ports[peer], announce),
            rng=random.Random(f"{name}{len(self.running)}"),
            limits=LIMITS,
            annotate=annotate,
        )

    def start_master(self) -> Any:
        def heartbeat(**report: Any) -> dict[str, Any]:
            self.reports.append(("heartbeat", report))
            return {"leases": [], "delete": [], "register": False, **self.answer("heartbeat", report)}

        def register(**report: Any) -> dict[str, Any]:
            self.reports.append(("register", report))
            return {"delete": [], **self.answer("register", report)}

        master = self.rpc.Server(self.context("master"), {"heartbeat": heartbeat, "register": register})
        master.start()
        self.running.append(master)
        return master

    def start(self, name: str) -> Any:
        chunkserver = self.lab("").start(self.context(name))
        self.running.append(chunkserver)
        return chunkserver

    def stop(self) -> None:
        self.client.close()
        for node in reversed(self.running):
            node.stop()

    def call(self, server: str, method: str, payload: bytes = b"", **args: Any) -> Any:
        entry = CATALOGUE[method]
        assert set(args) == set(entry.args)
        try:
            reply = self.client.call(server, method, args, payload, at_most_once=entry.at_most_once)
        except errors.RemoteError as error:
            assert error.code in {*entry.errors, "bad_arguments"}, (method, error)
            raise
        assert set(reply.value) == set(entry.reply)
        return reply

    def lease(self, version: int, primary: str, *secondaries: str, until: float = 60.0) -> None:
        for name in (primary, *secondaries):
            self.call(name, "advance_version", handle=7, previous=version - 1, version=version)
        at = self.clock.now() + until
        self.call(primary, "grant_lease", handle=7, version=version, until=at, secondaries=list(secondaries))

    def push(self, data: bytes, *chain: str) -> str:
        data_id = f"d{next(self.data_ids)}"
        args = {"data_id": data_id, "offset": 0, "total": len(data), "chain": list(chain[1:])}
        self.call(chain[0], "push", data, **args)
        return data_id

    def append(self, data: bytes, *servers: str, version: int = 2) -> int:
        data_id = self.push(data, *servers)
        return self.call(servers[0], "append", handle=7, version=version, data_id=data_id).value["offset"]

    def apply(
        self,
        server: str,
        serial: int,
        offset: int,
        data_id: str | None,
        version: int = 2,
        overwrite: bool = False,
    ) -> None:
        self.call(
            server,
            "apply",
            handle=7,
            version=version,
            serial=serial,
            offset=offset,
            data_id=data_id,
            overwrite=overwrite,
        )

    def read(self, server: str, offset: int = 0, length: int = CHUNK) -> bytes:
        return bytes(self.call(server, "read", handle=7, offset=offset, length=length).payload)

    def wait_for(self, condition: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + 10
        while not (found := condition()):
            assert time.monotonic() < deadline
            time.sleep(0.002)
        return found


@pytest.fixture
def cell(lab: Any, tmp_path: Path) -> Iterator[Cell]:
    made = Cell(lab, tmp_path)
    yield made
    made.stop()


@pytest.fixture
def trio(cell: Cell) -> Cell:
    """Chunkservers a, b and c with chunk 7 at version 2; a holds the lease. No master answers."""
    for name in "abc":
        cell.start(name)
        cell.call(name, "create_chunk", handle=7, version=1)
    cell.lease(2, "a", "b", "c")
    return cell


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


# ---- clones and copies (part E)


def clone(cell: Cell, server: str, source: str, version: int, final: bool = True) -> None:
    cell.call(server, "clone_chunk", handle=7, version=version, source=source, final=final)


def fetched(cell: Cell, disk: Path) -> int:
    return (disk / "7.part").stat().st_size if (disk / "7.part").exists() else 0


def test_a_clone_is_no_replica_before_the_last_step(trio: Cell, tmp_path: Path) -> None:
    trio.start("d")
    first, second = b"x" * 30, b"y" * 5
    trio.append(first, "a", "b", "c")
    clone(trio, "d", "a", 2, final=False)
    assert fetched(trio, tmp_path / "d") == 30
    assert trio.call("d", "inventory").value == {"chunks": []}
    with pytest.raises(errors.NoSuchChunk):
        trio.read("d")
    trio.append(second, "a", "b", "c")
    clone(trio, "d", "b", 2)
    assert trio.read("d") == first + second
    assert trio.call("d", "checksums", handle=7).value == trio.call("a", "checksums", handle=7).value
    clone(trio, "d", "b", 2)
    with pytest.raises(errors.StaleVersion):
        clone(trio, "d", "b", 1)
    trio.running.pop().stop()
    trio.start("d")
    assert trio.read("d") == first + second
    trio.lease(3, "a", "b", "c", "d")
    assert trio.append(b"z", "a", "b", "c", "d", version=3) == 35


def test_a_clone_names_its_version_and_older_replicas_give_way(trio: Cell, tmp_path: Path) -> None:
    trio.append(b"x" * 30, "a", "b", "c")
    trio.lease(3, "a", "b")
    trio.append(b"y" * 4, "a", "b", version=3)
    with pytest.raises(errors.ReplicaFailed):
        clone(trio, "c", "a", 2 + 2)
    assert trio.call("c", "inventory").value == {"chunks": [[7, 2, 30]]}
    clone(trio, "c", "a", 3)
    assert trio.call("c", "inventory").value == {"chunks": [[7, 3, 34]]}
    assert trio.read("c") == b"x" * 30 + b"y" * 4
    with (tmp_path / "c" / "7.data").open("r+b") as file:
        file.write(b"!")
    with pytest.raises(errors.Corrupt):
        trio.read("c")
    with pytest.raises(errors.ReplicaFailed):
        clone(trio, "b", "c", 4)  # nothing is copied from a damaged one
    clone(trio, "c", "b", 3)
    assert trio.read("c") == b"x" * 30 + b"y" * 4


def test_only_blocks_that_differ_are_fetched(lab: Any) -> None:
    disk = replica_with(lab, b"a" * BLOCK, b"b" * BLOCK, b"c" * 5)
    store = lab("store").Store(disk, BLOCK)
    store.recover()
    contents = store.get(7).contents
    staging = lab("staging").Staging(disk, 7, BLOCK)
    assert staging.missing(contents) == []
    other = lab("staging").Staging(disk, 8, BLOCK)
    assert other.missing(contents) == [0, 1, 2]
    other.put(1, b"b" * BLOCK)
    other.put(2, b"c" * 4 + b"!")
    assert other.missing(contents) == [0, 2]
    other.drop()
    assert other.missing(contents) == [0, 1, 2]
    runs = lab("cloning")._runs
    assert list(runs([])) == []
    assert list(runs([0, 2, 3, 9])) == [range(1), range(2, 4), range(9, 10)]
    assert [len(run) for run in runs(list(range(40)))] == [16, 16, 8]


def test_no_crash_while_a_replica_is_adopted_looks_like_one(lab: Any) -> None:
    contents = lab("store").Store(MemoryDisk(), BLOCK)
    contents.create(7, 3)
    contents.get(7).write(0, b"new " * 10)
    new = contents.get(7).contents

    def adopt(disk: MemoryDisk) -> None:
        store = lab("store").Store(disk, BLOCK)
        store.create(7, 2)
        store.get(7).write(0, b"old " * 5)
        staging = lab("staging").Staging(disk, 7, BLOCK)
        staging.put(0, b"new " * 10)
        staging.finish(new)
        store.adopt(7, new)

    clean = MemoryDisk()
    adopt(clean)
    for at, when, survival in every_crash(clean.operations):
        disk = MemoryDisk()
        disk.crash_at, disk.when, disk.survival = at, when, survival
        with pytest.raises(Crash):
            adopt(disk)
        store = lab("store").Store(disk.survivor(), BLOCK)
        store.recover()
        assert store.damaged() == []
        for replica in store.intact():
            held = bytes(replica.read(0, CHUNK)[2])
            assert held == b"new " * 10 if replica.version == 3 else (b"old " * 5).startswith(held)


def test_a_copy_is_a_replica_of_its_own(trio: Cell) -> None:
    trio.append(b"x" * 30, "a", "b", "c")
    for _ in range(2):
        trio.call("b", "copy_chunk", handle=7, version=2, copy=8)
    trio.append(b"y", "a", "b", "c")
    assert trio.call("b", "inventory").value == {"chunks": [[7, 2, 31], [8, 1, 30]]}
    assert bytes(trio.call("b", "read", handle=8, offset=0, length=99).payload) == b"x" * 30
    for wrong in ({"version": 1}, {"version": 3}):
        with pytest.raises(errors.StaleVersion):
            trio.call("b", "copy_chunk", handle=7, copy=9, **wrong)
    with pytest.raises(errors.NoSuchChunk):
        trio.call("b", "copy_chunk", handle=6, version=1, copy=9)


def test_a_write_is_on_all_replicas_over_what_was_there(trio: Cell) -> None:
    trio.append(b"x" * 30, "a", "b", "c")

    def write(offset: int, data: bytes, version: int = 2) -> None:
        data_id = trio.push(data, "a", "b", "c")
        trio.call("a", "write", handle=7, version=version, offset=offset, data_id=data_id)

    write(10, b"y" * 10)
    write(28, b"z" * 5)
    write(40, b"end")
    whole = b"x" * 10 + b"y" * 10 + b"x" * 8 + b"z" * 5 + bytes(7) + b"end"
    for name in "abc":
        assert trio.read(name) == whole
    assert trio.append(b"record", "a", "b", "c") == 43
    with pytest.raises(errors.StaleVersion):
        write(0, b"y", version=3)
    with pytest.raises(errors.BadArguments):
        write(CHUNK - 1, b"yy")
    with pytest.raises(errors.UnknownData):
        trio.call("a", "write", handle=7, version=2, offset=0, data_id="nobody pushed this")

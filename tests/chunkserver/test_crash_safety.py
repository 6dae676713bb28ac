"""Lab 3's reference, part A: storage against a crash at every operation."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest

from labkit import errors
from tests.chunkserver.world import (
    BLOCK,
    CHUNK,
    SURVIVAL,
    WHEN,
    Crash,
    MemoryDisk,
    every_crash,
    flipped,
    replica_with,
)


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

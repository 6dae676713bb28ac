"""No false alarm on what a correct GFS may do, no silence on what it may not.

`Cluster` is a small model of a GFS that is right: appends fail, are retried, leave records, fragments, holes
and stray bytes on some replicas; primaries change; replicas are lost and cloned; readers use old locations.
Its histories must all be valid. Then one thing in them is spoiled, and the checker must name it.
"""

from __future__ import annotations

import heapq
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import count, groupby, permutations

import pytest

from harness.checker import Judgement, Name, check, explain
from harness.history import (
    Append,
    Chunk,
    Complete,
    Event,
    Fault,
    Handle,
    History,
    InvokeAppend,
    InvokeScan,
    Kind,
    Meta,
    OpId,
    Outcome,
    RecordId,
    Replica,
    Scan,
    Segment,
)

META = Meta(seed=0, chunk_size=64, record_limit=16, replicas=3, cache_lifetime=6.0)
PATHS = ("/log", "/other")

# What one byte on a disk belongs to: kind, content, a number for the write that put it there.
Cell = tuple[Kind, str, int]
ZERO: Cell = (Kind.PADDING, "", 0)


@dataclass
class Disk:
    """One replica."""

    version: int
    cells: list[Cell] = field(default_factory=list)

    def write(self, start: int, cells: list[Cell]) -> None:
        self.cells += [ZERO] * (start + len(cells) - len(self.cells))
        self.cells[start : start + len(cells)] = cells

    def segments(self, sizes: dict[str, int]) -> Iterator[Segment]:
        start = 0
        for (kind, content, _), run in groupby(self.cells):
            length = len(list(run))
            whole = kind is not Kind.RECORD or length == sizes[content]
            yield Segment(start, length, kind if whole else Kind.FRAGMENT, content)
            start += length


@dataclass
class SimulatedChunk:
    handle: int
    version: int = 1
    current: dict[str, Disk] = field(default_factory=dict)
    stale: dict[str, Disk] = field(default_factory=dict)


@dataclass
class Task:
    """An append on its way."""

    op: OpId
    client: str
    path: str
    record: RecordId
    size: int
    attempts: int = 0


class Cluster:
    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.meta = replace(META, seed=seed)
        self.numbers = count(1)
        self.files: dict[str, list[SimulatedChunk]] = {path: [] for path in PATHS}
        self.events: list[Event] = []
        self.sizes: dict[str, int] = {}
        self.agenda: list[tuple[float, int, Callable[[float], None]]] = []
        self.caches: dict[tuple[str, str], tuple[float, list[tuple[int, list[str]]]]] = {}
        self.trouble = self.rng.choice([0.0, 0.2, 0.5])

    def run(self) -> History:
        for client in ("c1", "c2", "c3", "c4"):
            for step in range(12):
                action = self.append if self.rng.random() < 0.65 else self.scan
                self.later(step * 3.0, lambda time, client=client, action=action: action(time, client), 2.5)
        for _ in range(self.rng.randrange(4)):
            self.later(self.rng.uniform(0, 36), self.lose_a_replica)
        while self.agenda:
            time, _, action = heapq.heappop(self.agenda)
            action(time)
        self.dump()
        return History.of(self.meta, self.events)

    def later(self, time: float, action: Callable[[float], None], spread: float = 0.75) -> None:
        # Quarters of a second, so that many times are equal.
        when = round((time + self.rng.uniform(0, spread)) * 4) / 4
        heapq.heappush(self.agenda, (when, next(self.numbers), action))

    # Appends

    def append(self, time: float, client: str) -> None:
        op = OpId(next(self.numbers))
        task = Task(op, client, self.rng.choice(PATHS), RecordId(f"{client}-{op}"), self.rng.randrange(4, 17))
        self.sizes[task.record] = task.size
        self.events.append(InvokeAppend(op, client, time, task.path, task.record, task.size))
        self.later(time, lambda time: self.attempt(time, task))

    def attempt(self, time: float, task: Task) -> None:
        task.attempts += 1
        chunk = self.last_chunk(task.path)
        primary = next(iter(chunk.current.values()))
        start = len(primary.cells)
        if start + task.size > self.meta.chunk_size:
            self.pad(task.path, chunk, primary)
            self.later(time, lambda time: self.attempt(time, task))
        elif self.rng.random() >= self.trouble:
            self.write(chunk, start, task)
            offset = (len(self.files[task.path]) - 1) * self.meta.chunk_size + start
            if self.rng.random() < self.trouble / 3:
                self.fail(time, task)
            else:
                self.later(time, lambda time: self.complete(time, task, Outcome.OK, offset))
        else:
            for disk in chunk.current.values():
                self.half_write(disk, start, task)
            self.fail(time, task)

    def last_chunk(self, path: str) -> SimulatedChunk:
        if not self.files[path]:
            self.add_chunk(path)
        return self.files[path][-1]

    def add_chunk(self, path: str) -> None:
        handle = next(self.numbers)
        self.files[path].append(SimulatedChunk(handle, current={f"cs{n}": Disk(1) for n in (1, 2, 3)}))

    def pad(self, path: str, chunk: SimulatedChunk, primary: Disk) -> None:
        for disk in chunk.current.values():
            if disk is primary or self.rng.random() >= self.trouble:
                self.write_padding(disk, len(primary.cells))
        self.add_chunk(path)

    def write_padding(self, disk: Disk, start: int) -> None:
        start = min(start, len(disk.cells))
        disk.write(start, [ZERO] * (self.meta.chunk_size - start))

    def cells(self, task: Task, kind: Kind = Kind.RECORD) -> list[Cell]:
        content = task.record if kind is Kind.RECORD else f"hash{next(self.numbers)}"
        return [(kind, content, next(self.numbers))] * task.size

    def write(self, chunk: SimulatedChunk, start: int, task: Task) -> None:
        for disk in chunk.current.values():
            disk.write(start, self.cells(task))

    def half_write(self, disk: Disk, start: int, task: Task) -> None:
        fate = self.rng.randrange(5)
        if fate == 0:
            disk.write(start, self.cells(task))
        elif fate == 1:
            disk.write(start, self.cells(task)[: self.rng.randrange(1, task.size)])
        elif fate == 2:
            disk.write(start, [ZERO] * task.size)
        elif fate == 3:
            disk.write(start, self.cells(task, Kind.OTHER)[:3])

    def fail(self, time: float, task: Task) -> None:
        if self.rng.random() < 0.8:
            self.later(time, lambda time: self.attempt(time, task))
        elif self.rng.random() < 0.8:
            outcome = self.rng.choice((Outcome.UNKNOWN, Outcome.FAIL))
            self.later(time, lambda time: self.complete(time, task, outcome, None))

    def complete(self, time: float, task: Task, outcome: Outcome, offset: int | None) -> None:
        self.events.append(Complete(task.op, time, outcome, offset, task.attempts))

    # Replicas come and go

    def lose_a_replica(self, time: float) -> None:
        chunks = [chunk for chunks in self.files.values() for chunk in chunks]
        if not chunks:
            return
        chunk = self.rng.choice(chunks)
        lost = self.rng.choice(list(chunk.current))
        self.events.append(Fault(time, f"partition {lost}"))
        chunk.stale[lost] = chunk.current.pop(lost)
        # The new primary may be any replica that is left, and the clone copies it byte for byte.
        survivors = self.rng.sample(sorted(chunk.current.items()), len(chunk.current))
        chunk.current = dict(survivors)
        chunk.current[f"cs{next(self.numbers)}"] = Disk(chunk.version, list(survivors[0][1].cells))
        chunk.version += 1
        for disk in chunk.current.values():
            disk.version = chunk.version

    # Scans

    def scan(self, time: float, client: str) -> None:
        op, path, opened = OpId(next(self.numbers)), self.rng.choice(PATHS), self.rng.random() < 0.3
        self.events.append(InvokeScan(op, client, time, path, opened))
        self.later(time, lambda now: self.read(now, op, client, path, opened))

    def read(self, time: float, op: OpId, client: str, path: str, opened: bool) -> None:
        fetched, locations = self.caches.get((client, path), (-100.0, []))
        if opened or time - fetched >= self.meta.cache_lifetime:
            locations = [(number, list(chunk.current)) for number, chunk in enumerate(self.files[path])]
            self.caches[client, path] = time, locations
        records: list[tuple[RecordId, int]] = []
        for number, servers in locations:
            chunk = self.files[path][number]
            disk = (chunk.current | chunk.stale)[self.rng.choice(servers)]
            base = number * self.meta.chunk_size
            records += [
                (RecordId(segment.content), base + segment.start)
                for segment in disk.segments(self.sizes)
                if segment.kind is Kind.RECORD
            ]
        done = Complete(op, time, Outcome.OK, records=tuple(records))
        self.later(time, lambda time: self.events.append(replace(done, time=time)))

    # The end

    def dump(self) -> None:
        for path, chunks in self.files.items():
            for index, chunk in enumerate(chunks):
                handle = Handle(chunk.handle)
                self.events.append(Chunk(path, index, handle, chunk.version, tuple(chunk.current)))
                dumped = dict(list(chunk.current.items())[self.rng.random() < 0.1 :])
                for server, disk in (dumped | chunk.stale).items():
                    segments = tuple(disk.segments(self.sizes))
                    self.events.append(Replica(handle, server, disk.version, len(disk.cells), segments))


def test_legal_histories_raise_no_alarm() -> None:
    seen: Counter[str] = Counter()
    for seed in range(400):
        history = Cluster(seed).run()
        verdict = check(history)
        assert verdict.judgement is Judgement.VALID, f"seed {seed}\n{explain(verdict, history)}"
        seen.update(anomaly.name.value for anomaly in verdict.standing.shortfalls)
        seen["inconsistent"] += verdict.statistics.inconsistent_bytes > 0
        seen["all models"] += not verdict.standing.shortfalls
    # Otherwise the test would prove little.
    for rarity in ("duplicate-record", "partial-record", "outdated-read", "inconsistent", "all models"):
        assert seen[rarity] > 20, seen


# Spoiling: each takes a valid history and returns one that breaks a single promise, or None if it has no
# place for that.

Spoil = Callable[[History, random.Random], History | None]


def acknowledged(history: History) -> list[Append]:
    return [append for append in history.appends if append.outcome is Outcome.OK]


def place(history: History, append: Append) -> tuple[int, Chunk, list[Replica]]:
    """Chunk offset, chunk and current replicas of an acknowledged record."""
    index, start = divmod(append.offset or 0, history.meta.chunk_size)
    chunk = next(chunk for chunk in history.chunks if (chunk.path, chunk.index) == (append.path, index))
    replicas = [
        replica
        for replica in history.replicas
        if replica.handle == chunk.handle and replica.server in chunk.replicas
    ]
    return start, chunk, replicas


def with_append(history: History, old: Append, new: Append) -> History:
    return replace(history, appends=tuple(new if append == old else append for append in history.appends))


def with_scan(history: History, old: Scan, new: Scan) -> History:
    return replace(history, scans=tuple(new if scan == old else scan for scan in history.scans))


def with_segments(history: History, old: Replica, segments: list[Segment]) -> History:
    new = replace(old, segments=tuple(segments), length=segments[-1].end if segments else 0)
    return replace(
        history, replicas=tuple(new if replica == old else replica for replica in history.replicas)
    )


def overwrite(history: History, rng: random.Random, *pieces: tuple[float, Kind]) -> History:
    """Replace an acknowledged record on one replica by pieces, each a share of its length."""
    append = rng.choice(acknowledged(history))
    start, _, replicas = place(history, append)
    replica = rng.choice(replicas)
    segments: list[Segment] = []
    for segment in replica.segments:
        if segment.start != start:
            segments.append(segment)
            continue
        for share, kind in pieces:
            length = max(1, int(segment.length * share))
            content = segment.content if kind is Kind.FRAGMENT else ""
            segments.append(Segment(start, length, kind, content))
            start += length
        segments[-1] = segments[-1]._replace(length=segment.end - segments[-1].start)
        start = -1
    return with_segments(history, replica, segments)


def lose(history: History, rng: random.Random) -> History | None:
    return overwrite(history, rng, (1.0, Kind.PADDING))


def tear(history: History, rng: random.Random) -> History | None:
    return overwrite(history, rng, (0.5, Kind.FRAGMENT), (0.5, Kind.PADDING))


def miss(history: History, slack: float, opened: bool) -> History | None:
    for scan in history.scans:
        for append in acknowledged(history):
            due = scan.invoked - slack
            if append.path == scan.path and append.acknowledged_at < due and scan.opened is opened:
                records = tuple(pair for pair in scan.records if pair[0] != append.record)
                return with_scan(history, scan, replace(scan, records=records))
    return None


def miss_after_opening(history: History, rng: random.Random) -> History | None:
    return miss(history, 0.0, True)


def miss_beyond_cache(history: History, rng: random.Random) -> History | None:
    return miss(history, history.meta.cache_lifetime, False)


def give_out_twice(history: History, rng: random.Random) -> History | None:
    one, two = rng.sample(acknowledged(history), 2)
    return with_append(history, two, replace(two, path=one.path, offset=one.offset))


def invent(history: History, rng: random.Random) -> History | None:
    scan = rng.choice([scan for scan in history.scans if scan.outcome is Outcome.OK])
    return with_scan(history, scan, replace(scan, records=(*scan.records, (RecordId("ghost"), 0))))


def swap_names(replica: Replica, one: Append, two: Append) -> list[Segment]:
    names = {one.record: two.record, two.record: one.record}
    return [
        segment._replace(content=names.get(RecordId(segment.content), segment.content))
        for segment in replica.segments
    ]


def neighbours(history: History) -> Iterator[tuple[Append, Append]]:
    """Acknowledged records of one size in one chunk, each sent once."""
    size = history.meta.chunk_size
    once = [append for append in acknowledged(history) if append.attempts == 1]
    for one, two in permutations(once, 2):
        same_chunk = one.path == two.path and (one.offset or 0) // size == (two.offset or 0) // size
        if same_chunk and one.size == two.size:
            yield one, two


def diverge(history: History, rng: random.Random) -> History | None:
    for one, two in neighbours(history):
        _, _, replicas = place(history, one)
        if len(replicas) > 1:
            return with_segments(history, replicas[0], swap_names(replicas[0], one, two))
    return None


def turn_back(history: History, rng: random.Random) -> History | None:
    for one, two in neighbours(history):
        if one.acknowledged_at < two.invoked:
            spoiled = with_append(history, one, replace(one, offset=two.offset))
            spoiled = with_append(spoiled, two, replace(two, offset=one.offset))
            for replica in place(history, one)[2]:
                spoiled = with_segments(spoiled, replica, swap_names(replica, one, two))
            return spoiled
    return None


def copy_once(history: History, rng: random.Random) -> History | None:
    for append in acknowledged(history):
        _, _, replicas = place(history, append)
        room = history.meta.chunk_size - append.size
        if append.attempts == 1 and len(replicas) > 1 and replicas[0].length <= room:
            copy = Segment(replicas[0].length, append.size, Kind.RECORD, append.record)
            return with_segments(history, replicas[0], [*replicas[0].segments, copy])
    return None


def lower_limit(history: History, rng: random.Random) -> History | None:
    largest = max(append.size for append in acknowledged(history))
    return replace(history, meta=replace(history.meta, record_limit=largest - 1))


def straddle(history: History, rng: random.Random) -> History | None:
    append = rng.choice(acknowledged(history))
    return with_append(history, append, replace(append, offset=history.meta.chunk_size - 1))


def resurrect(history: History, rng: random.Random) -> History | None:
    for chunk in history.chunks:
        for replica in history.replicas:
            if replica.handle == chunk.handle and replica.server not in chunk.replicas:
                listing = replace(chunk, replicas=(*chunk.replicas, replica.server))
                return replace(
                    history, chunks=tuple(listing if old == chunk else old for old in history.chunks)
                )
    return None


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lose, Name.LOST_APPEND),
        (miss_after_opening, Name.LOST_APPEND),
        (miss_beyond_cache, Name.STALE_READ),
        (give_out_twice, Name.DOUBLY_ACKNOWLEDGED_OFFSET),
        (invent, Name.PHANTOM_RECORD),
        (tear, Name.TORN_RECORD),
        (diverge, Name.DIVERGENT_REPLICAS),
        (turn_back, Name.ORDER_CYCLE),
        (copy_once, Name.UNEXPLAINED_INCONSISTENCY),
        (lower_limit, Name.OVERSIZED_RECORD),
        (straddle, Name.STRADDLING_RECORD),
        (resurrect, Name.RESURRECTED_REPLICA),
    ],
)
def test_planted_violation_is_found(spoil: Spoil, expected: Name) -> None:
    spoiled_histories = 0
    for seed in range(60):
        spoiled = spoil(Cluster(seed).run(), random.Random(seed))
        if spoiled is None:
            continue
        spoiled_histories += 1
        verdict = check(spoiled)
        names = [anomaly.name for anomaly in verdict.anomalies]
        assert expected in names, f"seed {seed}: {names}"
        assert explain(verdict, spoiled)
    assert spoiled_histories > 15


# Cost


def long_history(chunks: int) -> History:
    """Every chunk with its share of everything: records, a failed attempt, differing replicas, a scan."""
    events: list[Event] = []
    ops = count(1)
    for index in range(chunks):
        base, records = index * META.chunk_size, []
        for number in range(3):
            op, time = OpId(next(ops)), index * 10.0 + number
            record = RecordId(f"r{op}")
            events.append(InvokeAppend(op, "c1", time, "/log", record, 16))
            if number == 1:
                events.append(Complete(op, time + 0.5, Outcome.UNKNOWN))
            else:
                events.append(Complete(op, time + 0.5, Outcome.OK, base + number * 16))
            records.append(record)
        whole = tuple(Segment(n * 16, 16, Kind.RECORD, record) for n, record in enumerate(records))
        holed = (whole[0], Segment(16, 16, Kind.PADDING, ""), whole[2])
        events.append(Chunk("/log", index, Handle(index), 1, ("cs1", "cs2")))
        events.append(Replica(Handle(index), "cs1", 1, 48, whole))
        events.append(Replica(Handle(index), "cs2", 1, 48, holed))
    return History.of(META, events)


def lines_run(history: History) -> int:
    """How many lines of Python a check takes: the same on every machine, unlike its time."""
    lines = 0

    def trace(frame: object, event: str, argument: object) -> object:
        nonlocal lines
        lines += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)  # type: ignore[arg-type]
    try:
        assert check(history).valid
    finally:
        sys.settrace(before)
    return lines


def test_cost_grows_with_the_history_and_no_faster() -> None:
    assert lines_run(long_history(400)) < 4.4 * lines_run(long_history(100))


# What GFS allows, planted into runs that satisfied even the model that forbids it

Plant = Callable[[History, random.Random], History | None]


def free_client(history: History, append: Append, opened: bool = False) -> Scan:
    """A scan by somebody new, after everything, that returns the whole file but this record."""
    end = max(one.completed or one.invoked for one in (*history.appends, *history.scans)) + 1
    records = tuple(
        (one.record, one.offset or 0)
        for one in acknowledged(history)
        if one.path == append.path and one.record != append.record
    )
    return Scan(OpId(9999), "new", append.path, opened, end, end + 1, Outcome.OK, records)


def miss_lately(history: History, rng: random.Random) -> History | None:
    """The record acknowledged last, so that the location cache excuses it."""
    last = max(acknowledged(history), key=lambda one: one.acknowledged_at)
    scan = free_client(history, last)
    if scan.invoked - history.meta.cache_lifetime > last.acknowledged_at:
        return None
    return replace(history, scans=(*history.scans, scan))


def miss_own(history: History, rng: random.Random) -> History | None:
    spoiled = miss_lately(history, rng)
    if spoiled is None:
        return None
    last = max(acknowledged(history), key=lambda one: one.acknowledged_at)
    return replace(spoiled, scans=(*spoiled.scans[:-1], replace(spoiled.scans[-1], client=last.client)))


def deny(history: History, rng: random.Random) -> History | None:
    """What was acknowledged was told to have failed."""
    append = rng.choice(acknowledged(history))
    return with_append(history, append, replace(append, outcome=Outcome.FAIL, offset=None))


def copy_everywhere(history: History, rng: random.Random) -> History | None:
    """The first append to a chunk with room was tried twice: its second copy is on every replica."""
    for append in acknowledged(history):
        _, _, replicas = place(history, append)
        ends = {replica.length for replica in replicas}
        if len(ends) == 1 and replicas[0].length + append.size <= history.meta.chunk_size:
            copy = Segment(replicas[0].length, append.size, Kind.RECORD, append.record)
            spoiled = with_append(history, append, replace(append, attempts=2))
            for replica in replicas:
                spoiled = with_segments(spoiled, replica, [*replica.segments, copy])
            return spoiled
    return None


def copy_somewhere(history: History, rng: random.Random) -> History | None:
    spoiled = copy_once(history, rng)
    if spoiled is None:
        return None
    changed = next(new for new, old in zip(spoiled.replicas, history.replicas, strict=True) if new != old)
    append = next(one for one in history.appends if one.record == changed.segments[-1].content)
    return with_append(spoiled, append, replace(append, attempts=2))


def swap_chunks(history: History, rng: random.Random) -> History | None:
    """Two chunks of a file change places, with all that was acknowledged in them."""
    size = history.meta.chunk_size
    for path in PATHS:
        chunks = sorted((one for one in history.chunks if one.path == path), key=lambda one: one.index)
        if len(chunks) < 2:
            continue
        places = {chunks[0].index: chunks[1].index, chunks[1].index: chunks[0].index}

        def moved(offset: int, places: dict[int, int] = places) -> int:
            return places.get(offset // size, offset // size) * size + offset % size

        return replace(
            history,
            chunks=tuple(
                replace(one, index=places.get(one.index, one.index)) if one.path == path else one
                for one in history.chunks
            ),
            appends=tuple(
                replace(one, offset=moved(one.offset)) if one.path == path and one.offset is not None else one
                for one in history.appends
            ),
            scans=tuple(
                replace(one, records=tuple((record, moved(offset)) for record, offset in one.records))
                if one.path == path
                else one
                for one in history.scans
            ),
        )
    return None


@pytest.mark.parametrize(
    ("plant", "expected"),
    [
        (miss_lately, {Name.OUTDATED_READ, Name.UNLINEARIZABLE_LOG}),
        (miss_own, {Name.SEQUENCE_CYCLE, Name.OUTDATED_READ, Name.UNLINEARIZABLE_LOG}),
        (deny, {Name.TRACE_OF_FAILURE}),
        (copy_everywhere, {Name.DUPLICATE_RECORD}),
        (copy_somewhere, {Name.DUPLICATE_RECORD, Name.PARTIAL_RECORD}),
        (swap_chunks, {Name.REORDERED_CHUNKS, Name.UNLINEARIZABLE_LOG}),
    ],
)
def test_what_gfs_allows_is_found_too(plant: Plant, expected: set[Name]) -> None:
    planted = 0
    for seed in range(120):
        history = plant(Cluster(seed).run(), random.Random(seed))
        if history is None:
            continue
        planted += 1
        verdict = check(history)
        assert verdict.judgement is Judgement.VALID, f"seed {seed}\n{explain(verdict, history)}"
        names = {one.name for one in verdict.standing.shortfalls}
        assert expected <= names, f"seed {seed}: {names}"
    assert planted > 30

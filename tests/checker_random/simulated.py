"""A model of a correct GFS, whose histories the checker has to find valid."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import count, groupby

from harness.history import (
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

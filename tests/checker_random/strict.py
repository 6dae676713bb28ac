"""A model of a GFS as strict as lab 4 part E wants it: nothing new begins before the last piece is on every replica.

Its primary asks all others what they have before its first append (`asks`), or does not, and then writes over what only
others had. What it took over is in `taken_over`; what it went over is in `forgotten`, as far as a history can show that.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.history import Complete, Fault, Grant, Handle, Held, InvokeAppend, Outcome, RecordId
from tests.checker_random.simulated import Cluster, Disk, SimulatedChunk, Task


@dataclass(frozen=True)
class Cut:
    """`record` was cut off at a replica that was seen to have it before `grant` made another primary."""

    record: str
    start: int
    chunk: SimulatedChunk
    server: str
    grant: Grant


class StrictCluster(Cluster):
    def __init__(self, seed: int, *, asks: bool) -> None:
        super().__init__(seed)
        self.asks = asks
        self.grants: dict[tuple[int, int], Grant] = {}
        # Handle, server and record: the version of the mutation.
        self.seen: dict[tuple[int, str, str], int] = {}
        self.asked: set[tuple[int, int]] = set()
        self.cuts: list[Cut] = []
        self.proven: list[Cut] = []
        self.taken_over: set[str] = set()

    @property
    def forgotten(self) -> set[str]:
        """Of those that were cut off, and something acknowledged since, the ones whose replica is still there."""
        return {cut.record for cut in self.proven if cut.server in cut.chunk.current}

    # Appends

    def attempt(self, time: float, task: Task) -> None:
        task.attempts += 1
        if not self.files[task.path]:
            self.add_chunk(task.path)
            self.begin_version(time, self.files[task.path][-1])
        chunk = self.files[task.path][-1]
        primary = next(iter(chunk.current.values()))
        self.recover(chunk, primary)
        if not self.bring(time, chunk, primary):
            self.fail(time, task)
            return
        contents = [content for _, content, _ in primary.cells]
        start = contents.index(task.record) if task.record in contents else len(contents)
        if start + task.size > self.meta.chunk_size:
            self.write_padding(primary, start)
            if self.bring(time, chunk, primary):
                self.add_chunk(task.path)
                self.begin_version(time, self.files[task.path][-1])
            self.later(time, lambda time: self.attempt(time, task))
            return
        if start == len(contents):
            primary.write(start, self.cells(task))
        if self.bring(time, chunk, primary) and self.rng.random() >= self.trouble / 3:
            self.acknowledge(time, chunk, start, task)
        else:
            self.fail(time, task)

    def acknowledge(self, time: float, chunk: SimulatedChunk, start: int, task: Task) -> None:
        index = self.files[task.path].index(chunk)
        done = Complete(task.op, time, Outcome.OK, index * self.meta.chunk_size + start, task.attempts)
        self.events.append(done)
        began = next(one.time for one in self.events if isinstance(one, InvokeAppend) and one.op == task.op)
        there = self.starts(next(iter(chunk.current.values())))
        for cut in self.cuts:
            # Its client may have appended it once more, in the very place where it was.
            back = there.get(cut.record) == cut.start
            if cut.chunk is chunk and start >= cut.start and began > cut.grant.time and not back:
                self.proven.append(cut)

    def recover(self, chunk: SimulatedChunk, primary: Disk) -> None:
        """Once for each version, take over what another has behind the primary's end."""
        if self.asks and (chunk.handle, chunk.version) not in self.asked:
            self.asked.add((chunk.handle, chunk.version))
            longest = max(chunk.current.values(), key=lambda disk: len(disk.cells))
            behind = longest.cells[len(primary.cells) :]
            primary.cells += behind
            self.taken_over |= {content for _, content, _ in behind if content}

    def bring(self, time: float, chunk: SimulatedChunk, primary: Disk) -> bool:
        """The primary's last piece to all others, as far as trouble allows; whether all have it then."""
        for server, disk in chunk.current.items():
            if disk.cells != primary.cells and self.rng.random() >= self.trouble:
                before, after = self.starts(disk), self.starts(primary)
                disk.cells = list(primary.cells)
                for record in before.keys() - after.keys():
                    self.cut(chunk, server, record, before[record])
                for record in after.keys() - before.keys():
                    self.seen[chunk.handle, server, record] = chunk.version
                    handle, start = Handle(chunk.handle), after[record]
                    self.events.append(Held(time, handle, chunk.version, server, start, RecordId(record)))
        return all(disk.cells == primary.cells for disk in chunk.current.values())

    def starts(self, disk: Disk) -> dict[str, int]:
        contents = [content for _, content, _ in disk.cells]
        return {content: contents.index(content) for content in set(contents) - {""}}

    def cut(self, chunk: SimulatedChunk, server: str, record: str, start: int) -> None:
        version = self.seen.pop((chunk.handle, server, record), chunk.version)
        if version < chunk.version:
            self.cuts.append(Cut(record, start, chunk, server, self.grants[chunk.handle, version + 1]))

    # Replicas come and go

    def begin_version(self, time: float, chunk: SimulatedChunk) -> None:
        chunk.version += 1
        for disk in chunk.current.values():
            disk.version = chunk.version
        primary, *others = chunk.current
        grant = Grant(time, Handle(chunk.handle), chunk.version, primary, tuple(others))
        self.grants[chunk.handle, chunk.version] = grant
        self.events.append(grant)

    def lose_a_replica(self, time: float) -> None:
        """Mostly the primary. Who is next is drawn; perhaps one more replica is made, as a copy of the next primary's."""
        chunks = [chunks[-1] for chunks in self.files.values() if chunks and len(chunks[-1].current) > 2]
        if not chunks:
            return
        chunk = self.rng.choice(chunks)
        servers = list(chunk.current)
        lost = servers[0] if self.rng.random() < 0.8 else self.rng.choice(servers)
        self.events.append(Fault(time, f"crash {lost}"))
        chunk.stale[lost] = chunk.current.pop(lost)
        chunk.current = dict(self.rng.sample(sorted(chunk.current.items()), len(chunk.current)))
        if self.rng.random() < 0.5:
            copied = next(iter(chunk.current.values())).cells
            chunk.current[f"cs{next(self.numbers)}"] = Disk(chunk.version, list(copied))
        self.begin_version(time, chunk)

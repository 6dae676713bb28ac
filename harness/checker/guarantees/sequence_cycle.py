"""Sequence cycle (legal in GFS): no single order of all operations fits every client and every chunk.

Sequential consistency over all files: one order of everything in which each client's operations stand as it
issued them, each chunk's records as the chunk holds them, and each scan after what it returned and before what
it missed; real time between clients is ignored. Such an order exists exactly when these edges have no cycle:

- *client*: an operation was over before the same client began the other;
- *chunk*: a record stands before the other in their chunk (write to write);
- *read*: the scan returned the record (write to read), or missed it (read to write).

If every file is a linearizable log, all of it is sequentially consistent (docs/checker.md), and no graph has to
be built. Otherwise this is a true graph problem. Source: GFS §2.7.1, §3.1.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, pairwise

from harness.checker.anomaly import Finding, Guarantee, Name, Witness
from harness.checker.evidence import Evidence
from harness.checker.graph import Place, knots, lightest_cycle, order_edges
from harness.checker.guarantees import unlinearizable_log
from harness.checker.witnesses import circle
from harness.history import Append, Operation, Scan

MOST_STARTS = 30
"""Operations of a knot through which the lightest cycle is sought."""

ChunkId = tuple[str, int]


@dataclass
class _Reading:
    """What one scan saw of one chunk: positions of the last record returned and the first missed, if any."""

    scan: int
    chunk: ChunkId
    last: int | None
    missed: int | None


class _Run:
    """The operations by number, the chunks as lists of numbers, the readings of the scans."""

    def __init__(self, evidence: Evidence) -> None:
        size = evidence.history.meta.chunk_size
        self.operations: list[Operation] = []
        self.chunks: dict[ChunkId, list[int]] = defaultdict(list)
        self._place: dict[str, tuple[ChunkId, int]] = {}
        for path, log in evidence.logs.items():
            for offset, append in log:
                chunk = path, offset // size
                self._place[append.record] = chunk, len(self.chunks[chunk])
                self.chunks[chunk].append(len(self.operations))
                self.operations.append(append)
        self.of_file: dict[str, list[int]] = defaultdict(list)
        for path, index in self.chunks:
            self.of_file[path].append(index)
        self.readings: list[_Reading] = []
        self.beyond: list[tuple[int, ChunkId]] = []
        for scan in evidence.scans:
            self._read(scan)

    def _read(self, scan: Scan) -> None:
        number = len(self.operations)
        self.operations.append(scan)
        seen: dict[ChunkId, set[int]] = defaultdict(set)
        for record, _ in scan.records:
            if record in self._place:
                chunk, position = self._place[record]
                seen[chunk].add(position)
        indices = sorted(self.of_file.get(scan.path, ()))
        touched = bisect_left(indices, max((index for _, index in seen), default=-1) + 1)
        for index in indices[:touched]:
            chunk = scan.path, index
            positions = seen.get(chunk, set[int]())
            length = len(self.chunks[chunk])
            missed = next((at for at in range(length) if at not in positions), None)
            self.readings.append(_Reading(number, chunk, max(positions, default=None), missed))
        if touched < len(indices):
            # It missed all of this chunk, and of every later one.
            self.beyond.append((number, (scan.path, indices[touched])))

    def returned(self, number: int) -> Iterator[int]:
        """The appends, by number, of the records that an operation returned."""
        operation = self.operations[number]
        for record, _ in operation.records if isinstance(operation, Scan) else ():
            if record in self._place:
                chunk, position = self._place[record]
                yield self.chunks[chunk][position]

    def clients(self, only: set[int] | None = None) -> Iterator[tuple[str, list[tuple[int, float, float]]]]:
        """Each client's operations with their times, for `order_edges`."""
        lines: dict[str, list[tuple[int, float, float]]] = defaultdict(list)
        for number, operation in enumerate(self.operations):
            if only is None or number in only:
                over = operation.answered_at if isinstance(operation, Scan) else operation.acknowledged_at
                lines[f"client {operation.client}"].append((number, operation.invoked, over))
        yield from lines.items()


def find(evidence: Evidence) -> Iterator[Finding]:
    if next(unlinearizable_log.find(evidence), None) is None:
        return
    run = _Run(evidence)
    for knot in knots(_edges(run)):
        members = {number for number in knot if number < len(run.operations)}
        # Scans first: their numbers are the highest, and only where time and offsets disagree does one do without.
        starts = sorted(members, reverse=True)[:MOST_STARTS]
        yield _finding(run, lightest_cycle(_lanes(run, members), starts))


def _edges(run: _Run) -> list[tuple[int, int]]:
    """All edges, reduced: only the next record of a chunk, the last one returned, the first one missed."""
    numbers: dict[Place, int] = {}
    fresh = count(len(run.operations))

    def number(place: Place) -> int:
        return place if isinstance(place, int) else numbers.setdefault(place, next(fresh))

    edges = [pair for records in run.chunks.values() for pair in pairwise(records)]
    for name, intervals in run.clients():
        edges += [(number(one), number(other)) for one, other, _ in order_edges(name, intervals)]
    for reading in run.readings:
        records = run.chunks[reading.chunk]
        if reading.last is not None:
            edges.append((records[reading.last], reading.scan))
        if reading.missed is not None:
            edges.append((reading.scan, records[reading.missed]))
    # To miss all of a chunk and those behind it is one edge, into a chain that leads to the first record of each.
    for path, indices in run.of_file.items():
        for one, other in pairwise(sorted(indices)):
            edges.append((number((f"from {path}", one)), number((f"from {path}", other))))
        edges += [(number((f"from {path}", index)), run.chunks[path, index][0]) for index in indices]
    edges += [(scan, number((f"from {path}", index))) for scan, (path, index) in run.beyond]
    return edges


def _lanes(run: _Run, members: set[int]) -> Iterator[tuple[Place, Place, int]]:
    """The full orders among the members of a knot, so that a cycle weighs as much as it has operations.

    Each chunk has a lane that leads from a record to all behind it; a scan enters it where it missed the first.
    """
    for name, intervals in run.clients(members):
        yield from order_edges(name, intervals)
    places: dict[ChunkId, list[int]] = {}
    for chunk, records in run.chunks.items():
        places[chunk] = [at for at, number in enumerate(records) if number in members]
        lane = _lane(chunk)
        for at, following in pairwise(places[chunk]):
            yield (lane, at), (lane, following), 0
            yield records[at], (lane, following), 1
        for at in places[chunk]:
            yield (lane, at), records[at], 0
    for reading in run.readings:
        if reading.scan in members and reading.missed is not None:
            at = bisect_left(places[reading.chunk], reading.missed)
            if reading.last is not None and reading.missed < reading.last:
                # Not all behind is missed as well, so that the lane would claim too much.
                yield reading.scan, run.chunks[reading.chunk][reading.missed], 1
            elif at < len(places[reading.chunk]):
                yield reading.scan, (_lane(reading.chunk), places[reading.chunk][at]), 1
    for scan, (path, first) in run.beyond:
        for index in run.of_file[path] if scan in members else ():
            if index >= first and places[path, index]:
                yield scan, (_lane((path, index)), places[path, index][0]), 1
    for number in members:
        for record in run.returned(number):
            if record in members:
                yield record, number, 1


def _lane(chunk: ChunkId) -> str:
    return f"chunk {chunk[1]} of {chunk[0]}"


def _finding(run: _Run, cycle: Sequence[Place]) -> Finding:
    operations = [run.operations[number] for number in cycle if isinstance(number, int)]
    lines: list[str] = []
    for at, number in enumerate(cycle):
        if isinstance(number, int):
            following = cycle[(at + 1) % len(cycle)]
            lines.append(following[0] if isinstance(following, tuple) else "")
    around = pairwise((*operations, operations[0]))
    reasons = [_step(one, other, line) for (one, other), line in zip(around, lines, strict=True)]
    return Finding(
        "No single order of all operations fits what every client did and saw.",
        "one order of them all, with each client's operations in the order it issued them",
        "; ".join(reasons),
        Witness(tuple(operations), edges=circle(reasons)),
    )


def _step(one: Operation, other: Operation, line: str) -> str:
    """Why `one` stands before `other`."""
    match one, other:
        case _ if line.startswith("client"):
            return f"{one.client} had finished {_short(one)} before it began {_short(other)}"
        case Append(), Append():
            return f"{one.record} stands before {other.record}"
        case Append(), _:
            return f"scan {other.op} returned {one.record}"
        case _:
            return f"scan {one.op} did not see {_short(other)}"


def _short(operation: Operation) -> str:
    return str(operation.record) if isinstance(operation, Append) else f"scan {operation.op}"


GUARANTEE = Guarantee(
    Name.SEQUENCE_CYCLE,
    "All operations fit into one order that every client's own order, every chunk and every read agree with.",
    "GFS §2.7.1, §3.1",
    find,
)

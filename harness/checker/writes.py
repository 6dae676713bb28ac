"""Plain writes: which of them each byte range of a replica shows, and which it might have shown.

A write is carried out piece by piece: the client library splits it at chunk boundaries, and at further places if
it likes. A piece is one mutation: within its chunk, the primary puts it in one place of the serial order, and
a byte shows the last piece, in that order, of those that cover it. Source: GFS §2.7.1, §3.1.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from harness.checker.evidence import ChunkView, Evidence
from harness.checker.graph import knots
from harness.history import Kind, Segment, Write


class Piece(NamedTuple):
    """Chunk offsets `start` to `end` of a write, one mutation."""

    start: int
    end: int
    write: Write


@dataclass(frozen=True, slots=True)
class Range:
    """A stretch in which nothing changes: the segment that stands there, and the acknowledged pieces that cover it.

    `shown` is the piece whose data it is. `covering` is sorted: (time of the acknowledgement, number of the piece).
    `doubtful`: an attempt of some write that covers it may have left anything there.
    """

    start: int
    end: int
    held: Segment | None
    shown: int | None
    covering: Sequence[tuple[float, int]]
    doubtful: bool


def pieces(evidence: Evidence, view: ChunkView) -> list[Piece]:
    """The pieces of all writes to this chunk, whatever became of them."""
    size = evidence.history.meta.chunk_size
    found: list[Piece] = []
    for write in evidence.writes.get(view.chunk.path, ()):
        start, end = max(write.offset, view.base), min(write.end, view.base + size)
        cuts = [start, *sorted(cut for cut in set(write.cuts) if start < cut < end), end]
        for one, other in pairwise(cuts):
            if one < other:
                found.append(Piece(one - view.base, other - view.base, write))
    return found


def ranges(parts: Sequence[Piece], segments: Sequence[Segment]) -> Iterator[Range]:
    """What one replica shows of a chunk that was written to, in order of offset; only ranges some piece covers.

    `covering` is one list that changes as the walk goes on: use it before asking for the next range.
    """
    cuts = {one.start for one in (*parts, *segments)} | {one.end for one in (*parts, *segments)}
    begins = sorted(range(len(parts)), key=lambda number: parts[number].start)
    ends = sorted(range(len(parts)), key=lambda number: parts[number].end)
    by_data: dict[str, int] = {}  # the pieces of one write do not overlap
    covering: list[tuple[float, int]] = []
    begun = ended = at = doubts = 0
    for start, end in pairwise(sorted(cuts)):
        while ended < len(ends) and parts[ends[ended]].end <= start:
            write = parts[ends[ended]].write
            if by_data.get(write.data) == ends[ended]:
                del by_data[write.data]
            doubts -= write.left_traces
            if write.acknowledged_at < math.inf:
                del covering[bisect_left(covering, (write.acknowledged_at, ends[ended]))]
            ended += 1
        while begun < len(begins) and parts[begins[begun]].start <= start:
            write = parts[begins[begun]].write
            by_data[write.data] = begins[begun]
            doubts += write.left_traces
            if write.acknowledged_at < math.inf:
                insort(covering, (write.acknowledged_at, begins[begun]))
            begun += 1
        while at < len(segments) and segments[at].end <= start:
            at += 1
        held = segments[at] if at < len(segments) else None
        if by_data:
            shown = by_data.get(held.content) if held is not None and held.kind is Kind.WRITE else None
            yield Range(start, end, held, shown, covering, doubts > 0)


def losers(parts: Sequence[Piece], stretch: Range) -> Iterator[int]:
    """The pieces that the one shown came after, as far as real time does not say so anyway.

    Nothing follows from what a write shows that was tried twice or never acknowledged: which attempt was it?
    """
    if stretch.shown is None or parts[stretch.shown].write.left_traces:
        return
    shown = parts[stretch.shown].write
    for acknowledged, number in reversed(stretch.covering):
        if acknowledged < shown.invoked:
            break
        # One that began when the one shown was over is lost, which has a name of its own.
        if number != stretch.shown and parts[number].write.invoked <= shown.acknowledged_at:
            yield number


def undefined_bytes(evidence: Evidence) -> int:
    """Bytes that hold a mixture of acknowledged writes, so that no order of whole writes explains them.

    Legal where clients split the writes (GFS §2.7.1): consistent, but undefined. Counted once for all replicas.
    """
    edges: list[tuple[int, int]] = []
    walks: list[tuple[list[Piece], Sequence[Segment]]] = []
    for view in evidence.views:
        if view.current and view.chunk.path in evidence.writes:
            walks.append((pieces(evidence, view), view.current[0].segments))
    for parts, segments in walks:
        for stretch in ranges(parts, segments):
            shown = stretch.shown
            if shown is not None:
                edges += [(parts[one].write.op, parts[shown].write.op) for one in losers(parts, stretch)]
    mixed = {number: at for at, knot in enumerate(knots(edges)) for number in knot}
    total = 0
    for parts, segments in walks:
        for stretch in ranges(parts, segments):
            found = Counter(mixed.get(parts[number].write.op) for _, number in stretch.covering)
            found.pop(None, None)
            if max(found.values(), default=0) > 1:
                total += stretch.end - stretch.start
    return total

"""The regions of one chunk: where its replicas agree, and on what.

A region is a stretch of the chunk over which no replica changes what it holds. Reading all replicas side by
side, it is in one of three states: *inconsistent* when two of them show different bytes, *consistent* when
all show the same, and *defined* when moreover these bytes are one record, whole.

Invariant: regions tile the chunk from 0 to the end of its longest replica, in order; a replica that has
already ended shows nothing, which differs from every byte. Source: GFS §2.7.1 and its table of states.

Cost: O(n R log nR) for R replicas of n segments.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise

from harness.history import Kind, Segment


class State(str, Enum):
    DEFINED = "defined"
    CONSISTENT = "consistent"
    INCONSISTENT = "inconsistent"


Columns = tuple[Segment | None, ...]
"""What each replica holds, in the order given to `merge`; None where it has ended."""


@dataclass(frozen=True, slots=True)
class Region:
    """Chunk offsets `start` to `end`, exclusive, and the segment that each replica holds there."""

    start: int
    end: int
    state: State
    columns: Columns


def merge(replicas: Sequence[Sequence[Segment]]) -> Iterator[Region]:
    """The regions of a chunk, given the segments of each replica in order of offset.

    Stretches that are left out on all replicas are left out of the regions.
    """
    pending: Region | None = None
    for start, end, columns in _pieces(replicas):
        if pending is not None and pending.end == start and _shown(pending.columns) == _shown(columns):
            pending = Region(pending.start, end, pending.state, pending.columns)
            continue
        if pending is not None:
            yield pending
        pending = Region(start, end, _state(columns), columns)
    if pending is not None:
        yield pending


def _pieces(replicas: Sequence[Sequence[Segment]]) -> Iterator[tuple[int, int, Columns]]:
    """Stretches between neighbouring ends of segments of any replica, with what all of them hold there."""
    if _side_by_side(replicas):
        yield from ((row[0][0], row[0][0] + row[0][1], row) for row in zip(*replicas, strict=True))
        return
    cuts = {segment[0] for segments in replicas for segment in segments}
    cuts |= {segment[0] + segment[1] for segments in replicas for segment in segments}
    unread = [0] * len(replicas)
    for start, end in pairwise(sorted(cuts)):
        columns: list[Segment | None] = []
        for number, segments in enumerate(replicas):
            at = unread[number]
            while at < len(segments) and segments[at][0] + segments[at][1] <= start:
                at += 1
            unread[number] = at
            columns.append(segments[at] if at < len(segments) and segments[at][0] <= start else None)
        if any(columns):
            yield start, end, tuple(columns)


def _side_by_side(replicas: Sequence[Sequence[Segment]]) -> bool:
    """Whether all replicas are cut into segments at the same places, as they are where attempts left holes."""
    if not replicas:
        return False
    places = [segment[:2] for segment in replicas[0]]
    return all([segment[:2] for segment in segments] == places for segments in replicas[1:])


def _shown(columns: Columns) -> list[object]:
    """Equal for two pieces exactly when they are known to show the same bytes."""
    return [_shows(held) for held in columns]


def _shows(held: Segment | None) -> object:
    """Equal for two columns of one piece exactly when they are known to show the same bytes.

    Zeros are zeros wherever their segment begins, and data of a write is what that write puts there. Anything else
    is the same only as the same segment: of fragments we know whose they are and how long, not which part of the
    record they hold.
    """
    kind = None if held is None else held[2]
    if held is not None and kind is Kind.WRITE:
        return held[3]
    return kind if kind is Kind.PADDING else held


def _state(columns: Columns) -> State:
    held = columns[0]
    shown = _shows(held)
    for other in columns[1:]:
        if _shows(other) != shown:
            return State.INCONSISTENT
    return State.DEFINED if held is not None and held.kind is Kind.RECORD else State.CONSISTENT

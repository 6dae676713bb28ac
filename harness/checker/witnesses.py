"""Small pieces from which guarantees build witnesses: an extent, a stretch of time, a table of regions."""

from __future__ import annotations

from collections.abc import Sequence

from harness.checker.anomaly import Table
from harness.checker.evidence import ChunkView
from harness.history import Append, Operation


def extent_of(append: Append) -> tuple[int, int]:
    """The file offsets, end exclusive, acknowledged to `append`."""
    start = append.offset or 0
    return start, start + append.size


def during(first: Append, second: Operation) -> str:
    """How long `first` had been acknowledged when `second` was invoked, in words."""
    return f"{second.invoked - first.acknowledged_at:.3f} s"


def table_between(view: ChunkView, start: int, end: int) -> Table:
    """What each current replica of the chunk holds between two chunk offsets."""
    return Table(view.chunk.path, view.chunk.index, view.base, view.servers, view.regions_between(start, end))


def circle(reasons: Sequence[str]) -> tuple[tuple[int, int, str], ...]:
    """The edges of a cycle: each operation stands before the next for a reason, the last before the first."""
    return tuple((number, (number + 1) % len(reasons), why) for number, why in enumerate(reasons))

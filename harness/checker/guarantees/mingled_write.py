"""Mingled writes: within a chunk, a replica shows its writes as if carried out one after the other.

The primary gives every mutation one place in a serial order, so where two pieces overlap, all bytes of the
overlap show the later one. Each range says that the pieces it does not show came before the one it shows; real
time adds which write was over before which began. A cycle means that pieces were mingled byte by byte.

A client library that splits a write makes several mutations of it. Those of concurrent writes may come in
different orders, in each piece a different one: the region is undefined, and legal. So it is pieces that are put
in order here, not writes. Source: GFS §2.7.1, §3.1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count, pairwise

from harness.checker.anomaly import Finding, Guarantee, Name, Witness
from harness.checker.evidence import ChunkView, Evidence
from harness.checker.graph import Place, knots, lightest_cycle, order_edges
from harness.checker.witnesses import circle, table_between
from harness.checker.writes import Piece, losers, pieces, ranges
from harness.history import Replica

MOST_STARTS = 30
"""Pieces of a knot through which the smallest cycle is sought."""

Where = dict[tuple[int, int], tuple[int, int]]
"""For two pieces, a stretch that shows the second and not the first."""


def find(evidence: Evidence) -> Iterator[Finding]:
    for view in evidence.views:
        parts = pieces(evidence, view)
        for replica in view.distinct if parts else ():
            where: Where = {}
            for stretch in ranges(parts, replica.segments):
                for loser in losers(parts, stretch):
                    if stretch.shown is not None:
                        where.setdefault((loser, stretch.shown), (stretch.start, stretch.end))
            for knot in knots(_edges(parts, where)):
                members = {number for number in knot if number < len(parts)}
                cycle = lightest_cycle(_within(parts, where, members), sorted(members)[:MOST_STARTS])
                yield _finding(view, replica, parts, where, cycle)


def _intervals(parts: Sequence[Piece], members: set[int] | None = None) -> Iterator[tuple[int, float, float]]:
    for number, part in enumerate(parts):
        if members is None or number in members:
            yield number, part.write.invoked, part.write.acknowledged_at


def _edges(parts: Sequence[Piece], where: Where) -> list[tuple[int, int]]:
    numbers: dict[Place, int] = {}
    fresh = count(len(parts))

    def number(place: Place) -> int:
        return place if isinstance(place, int) else numbers.setdefault(place, next(fresh))

    edges = [(number(one), number(other)) for one, other, _ in order_edges("time", _intervals(parts))]
    return [*edges, *where]


def _within(parts: Sequence[Piece], where: Where, members: set[int]) -> Iterator[tuple[Place, Place, int]]:
    yield from order_edges("time", _intervals(parts, members))
    for one, other in where:
        if one in members and other in members:
            yield one, other, 1


def _finding(
    view: ChunkView, replica: Replica, parts: Sequence[Piece], where: Where, cycle: Sequence[Place]
) -> Finding:
    numbers = [number for number in cycle if isinstance(number, int)]
    reasons: list[str] = []
    offsets: list[tuple[int, int]] = []
    for one, other in pairwise((*numbers, numbers[0])):
        first, second = parts[one].write.data, parts[other].write.data
        if (one, other) in where:
            start, end = where[one, other]
            offsets.append((view.base + start, view.base + end))
            reasons.append(f"{view.base + start} to {view.base + end} shows {second}, not {first}")
        else:
            reasons.append(f"{first} was acknowledged before {second} began")
    low, high = min(start for start, _ in offsets), max(end for _, end in offsets)
    return Finding(
        f"{replica.server} shows writes mingled in chunk {view.chunk.index} of {view.chunk.path}: none of them can "
        "be the last.",
        "an order of the writes in which every byte shows the last one that covers it",
        "; ".join(reasons),
        Witness(
            tuple(parts[number].write for number in numbers),
            (replica.server,),
            tuple(offsets),
            table_between(view, low - view.base, high - view.base),
            circle(reasons),
        ),
    )


GUARANTEE = Guarantee(
    Name.MINGLED_WRITE,
    "Within a chunk, writes take effect one after the other: every overlap shows the later piece throughout.",
    "GFS §2.7.1, §3.1",
    find,
)

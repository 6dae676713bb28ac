"""Unexplained inconsistency: current replicas differ only where some attempt went wrong.

A failed, unknown or retried append may have left its record, a part of it, or a hole of zeros on any subset
of the replicas, and some replicas shorter than others: those regions are inconsistent, and legal. So a
difference is explained when

- every record or part in it belongs to an append that may have left such traces, and
- zeros, unknown bytes and missing bytes have at least one such append to the file that may be their cause.

A plain write that went wrong explains any difference up to its end. An append cannot cause anything below what was acknowledged before it was invoked, for the primary appends
at the end of the chunk. Acknowledged extents are judged by the guarantees on lost and torn records.
Source: GFS §2.7.1 and its table of region states.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate

from harness.checker.anomaly import Finding, Guarantee, Name, Table, Witness
from harness.checker.evidence import ChunkView, Evidence, describe
from harness.checker.regions import Region, State
from harness.history import Append, Kind


def find(evidence: Evidence) -> Iterator[Finding]:
    earliest = {
        path: min(append.invoked for append in suspects.values())
        for path, suspects in evidence.suspects.items()
    }
    # How far a plain write that went wrong may have left something, zeros before it included.
    doubts = {
        path: max((write.end for write in writes if write.left_traces), default=-1)
        for path, writes in evidence.writes.items()
    }
    for view in evidence.views:
        if view.identical:
            continue
        suspects = evidence.suspects.get(view.chunk.path, {})
        first = earliest.get(view.chunk.path, math.inf)
        limits = _Limits(view)
        doubtful = doubts.get(view.chunk.path, -1) - view.base
        for region in view.differing:
            if region.state is not State.INCONSISTENT or limits.is_acknowledged(region):
                continue
            if region.start < doubtful:
                continue
            culprit = _unexplained(region, suspects, first, limits.latest_invocation(region))
            if culprit:
                yield _finding(view, region, culprit)


class _Limits:
    """For each place in a chunk: is it acknowledged, and until when may an append have begun to land there."""

    def __init__(self, view: ChunkView) -> None:
        self._starts = [start for start, _, _ in view.extents]
        self._ends = list(accumulate((end for _, end, _ in view.extents), max))
        acknowledged = [append.completed or 0.0 for _, _, append in reversed(view.extents)]
        self._earliest = [math.inf, *accumulate(acknowledged, min)]

    def is_acknowledged(self, region: Region) -> bool:
        before = bisect_left(self._starts, region.end)
        return before > 0 and self._ends[before - 1] > region.start

    def latest_invocation(self, region: Region) -> float:
        """The first acknowledgement of anything beyond the region."""
        return self._earliest[len(self._starts) - bisect_left(self._starts, region.end)]


def _unexplained(region: Region, suspects: dict[str, Append], earliest: float, limit: float) -> str | None:
    """What in the region nothing explains, in words; None when all is explained."""
    for held in region.columns:
        if held is not None and held.kind in (Kind.RECORD, Kind.FRAGMENT):
            suspect = suspects.get(held.content)
            if suspect is None:
                return f"{held.content} had a single attempt, which succeeded elsewhere"
            if suspect.invoked > limit:
                return f"append {suspect.op} of {held.content} began after what lies behind was acknowledged"
    if any(held is not None and held.kind is Kind.WRITE for held in region.columns):
        return "no write to it failed, was retried or has an unknown outcome"
    if earliest == math.inf:
        return "no append to the file failed, was retried or has an unknown outcome"
    if earliest > limit:
        return "whatever failed or was retried began after what lies behind was acknowledged"
    return None


def _finding(view: ChunkView, region: Region, culprit: str) -> Finding:
    chunk = view.chunk
    start, end = view.base + region.start, view.base + region.end
    shown = [
        f"{server} holds {describe(held)}" for server, held in zip(view.servers, region.columns, strict=True)
    ]
    return Finding(
        f"The replicas of chunk {chunk.index} of {chunk.path} differ at {start} to {end}, and {culprit}.",
        "the same bytes on every current replica, or an attempt that failed to write there",
        "; ".join(shown),
        Witness(
            (),
            view.servers,
            ((start, end),),
            Table(chunk.path, chunk.index, view.base, view.servers, (region,)),
        ),
    )


GUARANTEE = Guarantee(
    Name.UNEXPLAINED_INCONSISTENCY,
    "Current replicas differ only where a failed, unknown or retried append may have left its traces.",
    "GFS §2.7.1",
    find,
)

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
from collections.abc import Iterator, Sequence
from itertools import accumulate
from operator import gt

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
        doubtful = doubts.get(view.chunk.path, -1) - view.base
        regions = [one for one in view.differing if one.state is State.INCONSISTENT and one.start >= doubtful]
        for region, limit in _outside_of_acknowledged(view, regions):
            culprit = _unexplained(region, suspects, first, limit)
            if culprit:
                yield _finding(view, region, culprit)


def _outside_of_acknowledged(view: ChunkView, regions: Sequence[Region]) -> list[tuple[Region, float]]:
    """Those of the regions, which are in order, in which nothing was acknowledged, the last one first.

    With each, the first acknowledgement of anything beyond it: until then an append may have begun to land there.
    """
    starts = view.starts
    ends = [extent[1] for extent in view.extents]
    if any(map(gt, ends, starts[1:])):  # acknowledged twice, which others complain of
        ends = list(accumulate(ends, max))
    acknowledged = [extent[2].completed or 0.0 for extent in view.extents]
    found: list[tuple[Region, float]] = []
    limit, known = math.inf, len(starts)  # the first acknowledgement of all from number `known` on
    for region in reversed(regions):
        beyond = bisect_left(starts, region.end)
        if beyond < known:
            limit, known = min(limit, min(acknowledged[beyond:known])), beyond
        if not beyond or ends[beyond - 1] <= region.start:
            found.append((region, limit))
    return found


def _unexplained(region: Region, suspects: dict[str, Append], earliest: float, limit: float) -> str | None:
    """What in the region nothing explains, in words; None when all is explained."""
    written = False
    for held in region.columns:
        kind = None if held is None else held[2]
        if held is not None and (kind is Kind.RECORD or kind is Kind.FRAGMENT):
            suspect = suspects.get(held[3])
            if suspect is None:
                return f"{held.content} had a single attempt, which succeeded elsewhere"
            if suspect.invoked > limit:
                return f"append {suspect.op} of {held.content} began after what lies behind was acknowledged"
        written = written or kind is Kind.WRITE
    if written:
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

"""Divergent replicas: all current replicas of a chunk hold its acknowledged records in one order.

The primary picks a serial order for all mutations of a chunk, and every replica follows it. Only
acknowledged records count: a failed attempt may legally have landed here and its retry there. For the same
reason, where a replica does not hold a record at the acknowledged offset, another copy tells where it was
applied only if it is the only one and there was a single attempt. Source: GFS §3.1.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise

from harness.checker.anomaly import Finding, Guarantee, Name, Table, Witness
from harness.checker.evidence import ChunkView, Evidence
from harness.checker.graph import Step, contradiction
from harness.checker.witnesses import circle, extent_of
from harness.history import Kind, RecordId, Replica


def find(evidence: Evidence) -> Iterator[Finding]:
    for view in evidence.views:
        # Replicas that hold every acknowledged record at its offset hold them in the order of offsets.
        if not any(missing for _, missing in view.missing):
            continue
        cycle = contradiction({replica.server: _order(view, replica) for replica in view.current})
        if cycle is not None:
            yield _diverged(view, cycle)


def _order(view: ChunkView, replica: Replica) -> list[RecordId]:
    """The acknowledged records of the chunk as this replica orders them."""
    extents = {extent.append.record: extent for extent in view.extents}
    copies: dict[RecordId, list[int]] = defaultdict(list)
    for segment in replica.segments:
        record = RecordId(segment.content)
        if segment.kind is Kind.RECORD and record in extents:
            copies[record].append(segment.start)
    places: dict[RecordId, int] = {}
    for record, starts in copies.items():
        extent = extents[record]
        if extent.start in starts:
            places[record] = extent.start
        elif len(starts) == 1 and not extent.append.left_traces:
            places[record] = starts[0]
    return sorted(places, key=places.__getitem__)


def _diverged(view: ChunkView, cycle: tuple[Step, ...]) -> Finding:
    by_record = {extent.append.record: extent.append for extent in view.extents}
    appends = tuple(by_record[step.record] for step in cycle)
    claims = [
        f"{one.replica} holds {one.record} before {two.record}" for one, two in pairwise((*cycle, cycle[0]))
    ]
    records: set[str] = {step.record for step in cycle}
    columns = [
        [segment for segment in replica.segments if segment.content in records] for replica in view.current
    ]
    spans = sorted({(segment.start, segment.end) for column in columns for segment in column})
    regions = [region for start, end in spans for region in view.regions_between(start, end)]
    return Finding(
        f"The replicas of chunk {view.chunk.index} of {view.chunk.path} applied acknowledged records in "
        "different orders.",
        f"one order of {', '.join(sorted(records))}, the same on every current replica",
        "; ".join(claims),
        Witness(
            appends,
            tuple(dict.fromkeys(step.replica for step in cycle)),
            tuple(extent_of(append) for append in appends),
            Table(view.chunk.path, view.chunk.index, view.base, view.servers, tuple(dict.fromkeys(regions))),
            circle([f"before it on {step.replica}" for step in cycle]),
        ),
    )


GUARANTEE = Guarantee(
    Name.DIVERGENT_REPLICAS,
    "All current replicas of a chunk hold its acknowledged records in the order their primary chose.",
    "GFS §3.1",
    find,
)

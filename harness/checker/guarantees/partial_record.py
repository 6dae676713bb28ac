"""Partial record (legal in GFS): an append reached some current replicas only, or only in part.

A failed attempt leaves what it had done; nobody cleans up. The stricter model asks that every record stands
on all current replicas at the same offset, or on none. Source: GFS §2.7.1.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.checker.anomaly import Finding, Guarantee, Name, Witness
from harness.checker.evidence import ChunkView, Evidence
from harness.checker.regions import State
from harness.checker.witnesses import table_between
from harness.history import Kind, RecordId, Segment


def find(evidence: Evidence) -> Iterator[Finding]:
    for view in evidence.views:
        for region in view.differing:
            for held in region.columns:
                if held is not None and held.kind is Kind.RECORD and region.state is State.INCONSISTENT:
                    yield _partial(evidence, view, held)
                    break
        for _, segments in view.held:
            for segment in segments:
                if segment[2] is Kind.FRAGMENT:
                    yield _partial(evidence, view, segment)


def _partial(evidence: Evidence, view: ChunkView, held: Segment) -> Finding:
    record = held.content
    append = evidence.appends.get(RecordId(record))
    start, end = view.base + held.start, view.base + held.end
    return Finding(
        f"{record} stands at {start} on some current replicas only, or only in part.",
        f"{record} whole on all of {', '.join(view.servers)}, or on none",
        f"replicas that differ, or hold a part of it, at {start} to {end}",
        Witness(
            () if append is None else (append,),
            view.servers,
            ((start, end),),
            table_between(view, held.start, held.end),
        ),
    )


GUARANTEE = Guarantee(
    Name.PARTIAL_RECORD,
    "Each record stands whole on all current replicas, or on none.",
    "GFS §2.7.1",
    find,
)

"""Torn record: no part of a record stands where a whole one was acknowledged.

Appends are atomic: a record is written as one continuous run of bytes. Fragments are the legal remains of
failed attempts, but a failed attempt leaves them outside every acknowledged extent. A fragment inside one
means a mutation was cut short and acknowledged anyway, or two were mingled. Source: GFS §2.7.1, §3.3.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.checker.anomaly import Finding, Guarantee, Name, Witness
from harness.checker.evidence import ChunkView, Evidence, Extent, overlapping
from harness.checker.witnesses import table_between
from harness.history import Kind, Segment


def find(evidence: Evidence) -> Iterator[Finding]:
    for view in evidence.views:
        for server, segments in view.held:
            fragments = [segment for segment in segments if segment[2] is Kind.FRAGMENT]
            for fragment, extent in overlapping(fragments, view.extents):
                yield _torn(view, server, fragment, extent)


def _torn(view: ChunkView, server: str, fragment: Segment, extent: Extent) -> Finding:
    append = extent.append
    start, end = view.base + fragment.start, view.base + fragment.end
    return Finding(
        f"{server} holds only a part of {fragment.content} in the bytes acknowledged to append {append.op} of "
        f"{append.record}.",
        f"{append.record} whole at offset {append.offset}, {append.size} bytes",
        f"a part of {fragment.content} at {start} to {end} on {server}",
        Witness((append,), (server,), ((start, end),), table_between(view, extent.start, extent.end)),
    )


GUARANTEE = Guarantee(
    Name.TORN_RECORD,
    "An acknowledged record is one unbroken run of bytes: no part of any record stands in its extent.",
    "GFS §2.7.1, §3.3",
    find,
)

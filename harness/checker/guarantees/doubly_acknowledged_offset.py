"""Doubly acknowledged offset: no byte of a file is given to two acknowledged records.

The primary of a chunk chooses offsets, and there is one primary at a time. Two clients who hold overlapping
extents met two primaries, or one that forgot what it had handed out. Source: GFS §3.1, §3.3.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.checker.anomaly import Finding, Guarantee, Name, Witness
from harness.checker.evidence import Evidence
from harness.checker.witnesses import extent_of
from harness.history import Append


def find(evidence: Evidence) -> Iterator[Finding]:
    for appends in evidence.acknowledged.values():
        furthest: Append | None = None
        for append in sorted(appends, key=extent_of):
            if furthest is not None and extent_of(append)[0] < extent_of(furthest)[1]:
                yield _overlap(furthest, append)
            if furthest is None or extent_of(append)[1] > extent_of(furthest)[1]:
                furthest = append


def _overlap(one: Append, other: Append) -> Finding:
    (start, end), (other_start, other_end) = extent_of(one), extent_of(other)
    return Finding(
        f"Appends {one.op} of {one.record} and {other.op} of {other.record} were both acknowledged for bytes "
        f"{other_start} to {min(end, other_end)} of {one.path}.",
        f"{other.record} begins at or after {end}, where {one.record} ends",
        f"{one.record} was given {start} to {end}, {other.record} {other_start} to {other_end}",
        Witness((one, other), (), ((start, end), (other_start, other_end))),
    )


GUARANTEE = Guarantee(
    Name.DOUBLY_ACKNOWLEDGED_OFFSET,
    "The extents of acknowledged records do not overlap: one primary at a time hands out offsets.",
    "GFS §3.1, §3.3",
    find,
)

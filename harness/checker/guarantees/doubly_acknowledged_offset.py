"""Doubly acknowledged offset: no byte of a file is given to two acknowledged records.

The primary of a chunk chooses offsets, and there is one primary at a time. Two clients who hold overlapping
extents met two primaries, or one that forgot what it had handed out. Source: GFS §3.1, §3.3.
"""

from __future__ import annotations

from collections.abc import Iterator
from operator import itemgetter

from harness.checker.anomaly import Finding, Guarantee, Name, Witness
from harness.checker.evidence import Evidence
from harness.checker.witnesses import extent_of
from harness.history import Append


def find(evidence: Evidence) -> Iterator[Finding]:
    size = evidence.history.meta.chunk_size
    path, furthest, end = "", None, 0
    # By path, then by offset in the file: a record may straddle into the next chunk.
    for (owner, index), extents in sorted(evidence.extents.items(), key=itemgetter(0)):
        if owner != path:
            path, furthest, end = owner, None, 0
        base = index * size
        for extent in extents:
            if furthest is not None and base + extent[0] < end:
                yield _overlap(furthest, extent.append)
            if base + extent[1] > end:
                furthest, end = extent.append, base + extent[1]


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

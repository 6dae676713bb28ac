"""Order cycle: within a chunk, offsets grow with real time.

When a was acknowledged before b was even invoked, b came after a; the primary appends at the end of the
chunk, so b stands behind a. The other way round, time says a before b and the chunk says b before a. Times
that are equal are concurrent. Between chunks nothing is demanded here. Source: GFS §3.1, §3.3.

The cycle is found without a graph: going through the chunk from its end, the earliest acknowledgement among
the records further on must not precede the invocation of the record at hand.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from harness.checker.anomaly import Finding, Guarantee, Name, Witness
from harness.checker.evidence import Evidence
from harness.checker.witnesses import circle, during, extent_of
from harness.history import Append


def find(evidence: Evidence) -> Iterator[Finding]:
    for extents in evidence.extents.values():
        earliest: Append | None = None
        known, place = math.inf, 0
        for start, _, append in reversed(extents):
            if known < append.invoked and place > start and earliest is not None:
                yield _cycle(earliest, append)
            if append.completed is not None and append.completed < known:
                earliest, known, place = append, append.completed, start


def _cycle(first: Append, second: Append) -> Finding:
    return Finding(
        f"Append {second.op} of {second.record} began after append {first.op} of {first.record} had been "
        f"acknowledged, yet {second.record} stands before {first.record} in {first.path}.",
        f"{second.record} behind {first.record}, which was acknowledged {during(first, second)} before",
        f"{second.record} at offset {second.offset}, {first.record} at offset {first.offset}",
        Witness(
            (first, second),
            (),
            (extent_of(first), extent_of(second)),
            edges=circle(("was acknowledged before it began", "stands before it in the chunk")),
        ),
    )


GUARANTEE = Guarantee(
    Name.ORDER_CYCLE,
    "Within a chunk, a record invoked after another was acknowledged stands behind it.",
    "GFS §3.1, §3.3",
    find,
)

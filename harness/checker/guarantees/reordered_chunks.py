"""Reordered chunks (legal in GFS): a later append stands in an earlier chunk than one acknowledged before.

Each chunk has a primary and an order of its own, and nobody orders the chunks of a file. A client that still
takes an old chunk for the last one may append there after others have gone on to the next. In the stricter
model the chunk of a record never goes back in real time; what counts is the record's first copy.
Source: GFS §3.1, §3.3.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from harness.checker.anomaly import Finding, Guarantee, Name, Witness
from harness.checker.evidence import Evidence
from harness.checker.witnesses import circle, during
from harness.history import Append


def find(evidence: Evidence) -> Iterator[Finding]:
    size = evidence.history.meta.chunk_size
    for log in evidence.logs.values():
        # From the end: who was acknowledged first among the records of this chunk, and of all later ones?
        here: Append | None = None
        beyond: Append | None = None
        acknowledged_here = acknowledged_beyond = math.inf
        boundary = math.inf
        for offset, append in reversed(log):
            if offset < boundary:
                if acknowledged_here < acknowledged_beyond:
                    beyond, acknowledged_beyond = here, acknowledged_here
                here, acknowledged_here = None, math.inf
                boundary = offset // size * size
            if acknowledged_beyond < append.invoked and beyond is not None:
                yield _back(evidence, beyond, append)
            if append.acknowledged_at < acknowledged_here:
                here, acknowledged_here = append, append.acknowledged_at


def _back(evidence: Evidence, first: Append, second: Append) -> Finding:
    size = evidence.history.meta.chunk_size
    places = [evidence.placements[one.record] for one in (first, second)]
    chunks = [place // size for place in places]
    return Finding(
        f"Append {second.op} of {second.record} began after append {first.op} of {first.record} had been "
        f"acknowledged, yet {second.record} stands in chunk {chunks[1]} and {first.record} in chunk {chunks[0]}.",
        f"{second.record} in chunk {chunks[0]} or later, for {first.record} was there {during(first, second)} before",
        f"{second.record} at offset {places[1]}, {first.record} at offset {places[0]}",
        Witness(
            (first, second),
            (),
            tuple((place, place) for place in places),
            edges=circle(("was acknowledged before it began", "stands in an earlier chunk")),
        ),
    )


GUARANTEE = Guarantee(
    Name.REORDERED_CHUNKS,
    "A record invoked after another was acknowledged stands in the same chunk or a later one.",
    "GFS §3.1",
    find,
)

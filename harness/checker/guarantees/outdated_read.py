"""Outdated read (legal in GFS): a scan missed something acknowledged before it was invoked.

The location cache makes that possible for a bounded time. The stricter model does without the excuse.
Source: GFS §2.7.1.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.checker.anomaly import Finding, Guarantee, Name, Witness
from harness.checker.evidence import Evidence
from harness.checker.reads import first_missed
from harness.checker.witnesses import circle, during, extent_of


def find(evidence: Evidence) -> Iterator[Finding]:
    for scan in evidence.scans:
        append = first_missed(evidence, scan, scan.invoked)
        if append is not None:
            yield Finding(
                f"Scan {scan.op} missed {append.record}, acknowledged {during(append, scan)} before it began.",
                f"everything acknowledged before {scan.invoked:.3f}",
                f"{len(scan.records)} records without {append.record}",
                Witness(
                    (append, scan),
                    (),
                    (extent_of(append),),
                    edges=circle(("was acknowledged before it began", "did not return it")),
                ),
            )


GUARANTEE = Guarantee(
    Name.OUTDATED_READ,
    "A scan returns everything acknowledged before it was invoked.",
    "GFS §2.7.1",
    find,
)

"""Duplicate record (legal in GFS): a record stands, or is read, more than once.

Record append promises at least once; a retry after a failed or unanswered attempt leaves a second copy.
Readers filter by id. The stricter model asks for exactly one place. Source: GFS §2.7.1, §2.7.2.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.checker.anomaly import Finding, Guarantee, Name, Witness
from harness.checker.evidence import Evidence
from harness.history import RecordId


def find(evidence: Evidence) -> Iterator[Finding]:
    for record, offsets in evidence.duplicates.items():
        append = evidence.appends.get(RecordId(record))
        first, second, *_ = sorted(offsets)
        yield Finding(
            f"{record} is stored at {len(offsets)} offsets.",
            f"{record} at one offset",
            f"a copy at {first} and another at {second}",
            Witness(() if append is None else (append,), (), ((first, first), (second, second))),
        )
    for scan in evidence.scans:
        if len({record for record, _ in scan.records}) < len(scan.records):
            yield Finding(
                f"Scan {scan.op} of {scan.path} returned a record twice.",
                "every record once",
                f"{len(scan.records)} records, not all different",
                Witness((scan,)),
            )


GUARANTEE = Guarantee(
    Name.DUPLICATE_RECORD,
    "Each record stands at one offset and is read once.",
    "GFS §2.7.2",
    find,
)

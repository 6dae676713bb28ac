"""What a scan had to return: everything acknowledged before some moment.

Invariant: the comparison is by record, not by length or count, so duplicates never make up for a loss, and
strict: an acknowledgement at that very moment is concurrent. Source: GFS §2.7.1.
"""

from __future__ import annotations

from bisect import bisect_left

from harness.checker.evidence import Evidence
from harness.history import Append, Scan


def first_missed(evidence: Evidence, scan: Scan, moment: float) -> Append | None:
    """The earliest append to the scanned file, acknowledged before `moment`, that the scan did not return.

    Linear in what the scan returned: the walk ends at the first record that is not among it.
    """
    appends = evidence.acknowledged.get(scan.path, [])
    due = bisect_left(appends, moment, key=lambda append: append.acknowledged_at)
    returned = {record for record, _ in scan.records}
    return next((appends[i] for i in range(due) if appends[i].record not in returned), None)

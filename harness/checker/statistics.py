"""How much of what GFS allows a run contains: padding, duplicates, regions where replicas differ.

None of it is wrong; a report shows it because it is the price of record append. Source: GFS §2.7.2, §3.3.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.checker.evidence import Evidence
from harness.checker.guarantees.duplicate_record import placements
from harness.checker.regions import State
from harness.history import Kind, Outcome


@dataclass(frozen=True, slots=True)
class Statistics:
    """Counts over the history; bytes and replicas are those of current replicas.

    A record stored at k offsets counts as k placements and k - 1 duplicates.
    """

    appends: int
    acknowledged: int
    unresolved: int
    scans: int
    replicas_listed: int
    replicas_current: int
    stored_bytes: int
    padding_bytes: int
    placements: int
    duplicates: int
    inconsistent_bytes: int

    @property
    def padding_share(self) -> float:
        return self.padding_bytes / self.stored_bytes if self.stored_bytes else 0.0

    @property
    def duplicate_share(self) -> float:
        return self.duplicates / self.placements if self.placements else 0.0


def count(evidence: Evidence) -> Statistics:
    history, stored = evidence.history, placements(evidence)
    current = [replica for view in evidence.views for replica in view.current]
    copies = sum(map(len, stored.values()))
    return Statistics(
        appends=len(history.appends),
        acknowledged=sum(map(len, evidence.acknowledged.values())),
        unresolved=sum(append.outcome is not Outcome.OK for append in history.appends),
        scans=len(evidence.scans),
        replicas_listed=sum(len(view.chunk.replicas) for view in evidence.views),
        replicas_current=len(current),
        stored_bytes=sum(replica.length for replica in current),
        padding_bytes=sum(
            segment.length
            for replica in current
            for segment in replica.segments
            if segment.kind is Kind.PADDING
        ),
        placements=copies,
        duplicates=copies - len(stored),
        inconsistent_bytes=sum(
            region.end - region.start
            for view in evidence.views
            if not view.identical
            for region in view.regions()
            if region.state is State.INCONSISTENT
        ),
    )

"""How much of what GFS allows a run contains: padding, duplicates, regions where replicas differ.

None of it is wrong; a report shows it because it is the price of record append. Source: GFS §2.7.2, §3.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.checker.evidence import ChunkView, Evidence
from harness.checker.regions import State
from harness.checker.writes import undefined_bytes
from harness.history import Kind, Outcome, Segment


@dataclass(frozen=True, slots=True)
class Statistics:
    """Counts over the history; bytes and replicas are those of current replicas.

    `undefined_bytes` show a mixture of writes, the same on all replicas.

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
    undefined_bytes: int = 0

    @property
    def padding_share(self) -> float:
        return self.padding_bytes / self.stored_bytes if self.stored_bytes else 0.0

    @property
    def duplicate_share(self) -> float:
        return self.duplicates / self.placements if self.placements else 0.0


def count(evidence: Evidence) -> Statistics:
    history = evidence.history
    current = [replica for view in evidence.views for replica in view.current]
    stored = len(evidence.placements)
    copies = stored + sum(len(offsets) - 1 for offsets in evidence.duplicates.values())
    return Statistics(
        appends=len(history.appends),
        acknowledged=sum(map(len, evidence.acknowledged.values())),
        unresolved=sum(append.outcome is not Outcome.OK for append in history.appends),
        scans=len(evidence.scans),
        replicas_listed=sum(len(view.chunk.replicas) for view in evidence.views),
        replicas_current=len(current),
        stored_bytes=sum(replica.length for replica in current),
        padding_bytes=sum(map(_padding, evidence.views)),
        placements=copies,
        duplicates=copies - stored,
        inconsistent_bytes=sum(
            region.end - region.start
            for view in evidence.views
            for region in view.differing
            if region.state is State.INCONSISTENT
        ),
        undefined_bytes=undefined_bytes(evidence),
    )


def _padding(view: ChunkView) -> int:
    """Bytes of padding on all current replicas: on the first, once for each, but for where others differ."""
    if not view.current:
        return 0
    return len(view.current) * _zeros(view.current[0].segments) + sum(
        _zeros(one.extra) - _zeros(one.lacks) for one in view.differences
    )


def _zeros(segments: Sequence[Segment]) -> int:
    return sum(segment[1] for segment in segments if segment[2] is Kind.PADDING)

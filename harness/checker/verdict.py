"""The verdict over a history: valid, invalid with its anomalies, or unknown with the reasons.

Invariant: unknown is never valid. What was acknowledged can only be vouched for when the final dump shows
it, so a file with acknowledged appends needs a dump, and a live current replica for each of its chunks. A
violation that is seen anyway is a violation: invalid wins over unknown.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum

from harness.checker.anomaly import Anomaly
from harness.checker.evidence import Evidence
from harness.checker.guarantees import BASE
from harness.checker.models import Standing, standing
from harness.checker.statistics import Statistics, count
from harness.history import History


class Judgement(str, Enum):
    VALID = "valid"
    INVALID = "invalid"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`anomalies`: the most telling first, at most `EXAMPLES` of each name. `reasons`: what was not known."""

    judgement: Judgement
    anomalies: tuple[Anomaly, ...]
    reasons: tuple[str, ...]
    standing: Standing
    statistics: Statistics

    @property
    def valid(self) -> bool:
        return self.judgement is Judgement.VALID


def check(history: History) -> Verdict:
    """Judge a history against the guarantees of GFS, and a valid one against the stricter models."""
    with _without_collector():
        return _check(history)


@contextmanager
def _without_collector() -> Generator[None, None, None]:
    """Nothing here makes garbage in cycles, and a collection would walk over the whole history each time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _check(history: History) -> Verdict:
    evidence = Evidence.of(history)
    anomalies = tuple(anomaly for guarantee in BASE for anomaly in guarantee.anomalies(evidence))
    reasons = tuple(_reasons(evidence))
    judgement = Judgement.INVALID if anomalies else Judgement.UNKNOWN if reasons else Judgement.VALID
    return Verdict(
        judgement,
        anomalies,
        reasons,
        standing(evidence) if judgement is Judgement.VALID else Standing(),
        count(evidence),
    )


def _reasons(evidence: Evidence) -> Iterator[str]:
    changed = dict.fromkeys(evidence.acknowledged, "appends")
    for path, writes in evidence.writes.items():
        if any(write.acknowledged_at < math.inf for write in writes):
            changed.setdefault(path, "writes")
    if not (changed or evidence.scans or evidence.views):
        yield "no operation succeeded and no chunk was dumped, so there is nothing to judge"
    for path in sorted(changed.keys() - evidence.dumped_paths):
        yield f"{changed[path]} to {path} were acknowledged, but the final dump shows no chunk of it"
    for view in evidence.views:
        path = view.chunk.path
        if path in changed and not view.current:
            yield (
                f"{changed[path]} to {path} were acknowledged, but no replica of its chunk "
                f"{view.chunk.index} answered with version {view.chunk.version}"
            )

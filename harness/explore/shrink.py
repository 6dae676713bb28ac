"""The smallest part of a failing schedule that still fails.

One strike after the other is left out, then numbers are made small. What still fails is kept, so the result is smallest in
the sense that nothing more can be left out. Thread timing does not replay: a candidate gets a few tries to fail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from harness.cluster import Cluster
from harness.explore.schedule import Schedule
from harness.explore.trial import Trial, attempt

TRIES = 2
SMALL = 1.0  # seconds


def shrink(failed: Trial, make_cluster: Callable[[int], Cluster]) -> Trial:
    """A failed trial of a schedule with as few and as small strikes as can be found, perhaps the given one."""
    smallest = failed
    while (smaller := _first_failure(_candidates(smallest.schedule), make_cluster)) is not None:
        smallest = smaller
    return smallest


def fails(schedule: Schedule, make_cluster: Callable[[int], Cluster], tries: int = TRIES) -> Trial | None:
    """A trial of the schedule that failed, within so many tries."""
    for _ in range(tries):
        trial = attempt(schedule, make_cluster)
        if trial.failure is not None:
            return trial
    return None


def _first_failure(candidates: Iterator[Schedule], make_cluster: Callable[[int], Cluster]) -> Trial | None:
    for schedule in candidates:
        trial = fails(schedule, make_cluster)
        if trial is not None:
            return trial
    return None


def _candidates(schedule: Schedule) -> Iterator[Schedule]:
    """Smaller schedules, those without a strike first."""
    strikes = schedule.strikes
    for at in range(len(strikes)):
        yield replace(schedule, strikes=strikes[:at] + strikes[at + 1 :])
    for at, strike in enumerate(strikes):
        small = replace(strike, times=1, seconds=min(strike.seconds, SMALL))
        if small != strike:
            yield replace(schedule, strikes=(*strikes[:at], small, *strikes[at + 1 :]))

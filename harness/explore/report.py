"""What a person learns of an exploration: the first failure, with the schedule it came of, kept so that it can be replayed."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from harness.explore.explorer import Explorer
from harness.explore.schedule import Schedule
from harness.explore.trial import Trial
from harness.failures import LabFailure
from harness.workspace import KIT

KEPT = KIT / ".labkit" / "schedules"


def survives(explorer: Explorer, schedules: Iterable[Schedule]) -> None:
    """Try the schedules; LabFailure that says under which one the code under test failed, and how."""
    raise_failure(explorer.run(schedules), explorer.options)


def raise_failure(trials: Iterable[Trial], options: Sequence[str]) -> None:
    """Raise the failure of the trial with the fewest strikes, if any failed."""
    failed = [trial for trial in trials if trial.failure is not None]
    if failed:
        raise told(min(failed, key=lambda trial: len(trial.schedule.strikes)), options)


def told(trial: Trial, options: Sequence[str]) -> LabFailure:
    """The failure of a trial, together with its schedule."""
    assert trial.failure is not None
    failure, schedule = trial.failure, trial.schedule
    kept = keep(schedule)
    after = f"{failure.message}, after: {schedule}" if schedule.strikes else failure.message
    if kept is not None and schedule.strikes:
        after += f"\nthis schedule alone: {replay_command(kept, options)}"
    failure.message = after
    return failure


def replay_command(kept: Path, options: Sequence[str]) -> str:
    """A line for a shell that runs a stored schedule again."""
    return shlex.join(["python3", "grader.py", "replay", str(kept), *options])


def keep(schedule: Schedule, path: Path | None = None) -> Path | None:
    """Store a schedule, below .labkit unless told otherwise; where, or None when nothing can be written there."""
    text = schedule.to_json()
    if path is None:
        path = KEPT / f"{hashlib.sha256(text.encode()).hexdigest()[:10]}.json"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError:
        return None
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path

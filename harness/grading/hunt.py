"""``grader.py hunt lab04`` explores schedules until one fails or time is up; ``grader.py replay FILE`` runs one again."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path

from rich.console import Console
from rich.text import Text

from harness.cluster import Cluster
from harness.explore import Deed, Explorer, Schedule, Trial
from harness.explore.report import keep, replay_command
from harness.explore.schedule import REPLICAS
from harness.explore.shrink import fails, shrink
from harness.failures import LabFailure
from harness.grading.screen import screen
from harness.grading.text import clean, one_line
from harness.processes.session import Session
from harness.workspace import Workspace

PAIRS = 200  # after all single faults; then chance takes over
REPLAYS = 3  # schedules replay exactly, thread timing does not


def hunt(workspace: Workspace, seed: int, minutes: float, out: Path | None) -> int:
    """0 when nothing failed, 1 when something did."""
    with _session() as (console, session):
        console.print(Text(f"lab04, {one_line(workspace.implementation)}, seed {seed}", "dim"))
        explorer = Explorer(lambda drawn: Cluster(workspace, drawn, session=session), Schedule(seed))
        end = time.monotonic() + 60 * minutes
        failed: Trial | None = None
        try:
            schedules = chain(
                explorer.singles(*Deed), islice(explorer.pairs(*Deed), PAIRS), explorer.random(*Deed)
            )
            trials = explorer.run(schedules, lambda: time.monotonic() < end)
            failed = next((trial for trial in trials if trial.failure is not None), None)
        except LabFailure as failure:
            failed = Trial(explorer.base, failure)
        done = explorer.coverage
        console.print(
            f"{done.trials} schedules, {done.strikes} faults injected, {len(done.points)} protocol points covered"
        )
        if failed is None:
            console.print("No schedule failed.")
            return 0
        if failed.schedule.strikes:
            count = len(failed.schedule.strikes)
            faults = "one fault" if count == 1 else f"{count} faults"
            console.print(f"A schedule of {faults} failed; looking for a smaller one.")
            failed = shrink(failed, lambda drawn: Cluster(workspace, drawn, session=session))
        kept = keep(failed.schedule, out)
        _explain(console, failed)
        if kept is not None:
            command = replay_command(kept, workspace.options)
            console.print(Text("  replay    ", "dim").append(command, "default"), soft_wrap=True)
        return 1


def replay(workspace: Workspace, path: Path) -> int:
    """0 when the schedule passed every time, 1 when it failed, 2 when the file is no schedule."""
    with _session() as (console, session):
        try:
            schedule = Schedule.from_json(path.read_bytes())
        except (OSError, ValueError) as problem:
            console.print(f"grader: {path}: {problem}")
            return 2
        console.print(Text(f"{one_line(workspace.implementation)}: {schedule}", "dim"))
        if not schedule.fair:
            console.print(
                f"It destroys more than GFS promises to survive with {REPLICAS} replicas: it may well fail."
            )
        if not schedule.possible:
            console.print(
                "Two of its strikes are at the disk of one node, or at one message: one will not happen."
            )
        failed = fails(schedule, lambda drawn: Cluster(workspace, drawn, session=session), REPLAYS)
        if failed is None:
            console.print(f"It passed, {REPLAYS} times.")
            return 0
        _explain(console, failed)
        return 1


@contextmanager
def _session() -> Generator[tuple[Console, Session]]:
    with screen() as console:
        session = Session()
        try:
            yield console, session
        finally:
            session.close()


def _explain(console: Console, trial: Trial) -> None:
    failure = trial.failure
    assert failure is not None
    console.print()
    console.print(Text("failed  ", "bold red").append(str(trial.schedule), "bold"), soft_wrap=True)
    rows = (("said", failure.message), ("expected", failure.expected), ("seen", failure.seen))
    for name, text in (*rows, ("witness", failure.witness), ("stands", failure.stands)):
        for number, line in enumerate(clean(text).split("\n") if text else ()):
            label = f"  {name if number == 0 else '':9} "
            console.print(Text(label, "dim").append(line, "default"), soft_wrap=True)

"""``grader.py measure lab01``: runs a lab's measurements and prints their tables."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table as Shown
from rich.text import Text

from harness.failures import HarnessFault, LabFailure
from harness.grading import exports
from harness.grading.screen import screen
from harness.grading.text import clean, one_line
from harness.measurements import Cell, Run, Table, measurements_of
from harness.processes.session import Session
from harness.workspace import Workspace


def measure(lab: str, workspace: Workspace, seed: int, *, quick: bool, json_file: Path | None) -> int:
    """0 when all tables came out, 1 when the code under measurement failed, 2 for a fault of the harness."""
    tables = measurements_of(lab)
    with screen() as console:
        if tables is None:
            console.print(f"{lab} has no measurements.")
            return 2
        console.print(Text(f"{lab}, {one_line(workspace.implementation)}, seed {seed}", "dim"))
        done: list[Table] = []
        session = Session()
        try:
            for table in tables(Run(workspace, seed, quick, session)):
                show_table(console, table)
                done.append(table)
        except LabFailure as failure:
            return _explain(
                console, failure.message, (("expected", failure.expected), ("seen", failure.seen))
            )
        except HarnessFault as fault:
            console.print(Text("fault of the harness: ", "bold magenta").append(str(fault), "default"))
            return 2
        finally:
            session.close()
    if json_file is not None:
        exports.write(json_file, json.dumps(_plain(lab, workspace, seed, done), indent=1) + "\n")
    return 0


def show_table(console: Console, table: Table) -> None:
    """The table, figures to the right, and under it what to see."""
    console.print()
    shown = Shown(title=Text(table.title, "bold"), title_justify="left", box=box.SIMPLE_HEAD)
    for index, heading in enumerate(table.columns):
        numbers = bool(table.rows) and all(not isinstance(row[index], str) for row in table.rows)
        shown.add_column(heading, justify="right" if numbers else "left")
    for row in table.rows:
        shown.add_row(*map(_figure, row))
    console.print(shown)
    console.print(Text(table.reading, "italic"))


def _figure(cell: Cell) -> str:
    """A figure with as many digits as it deserves."""
    if isinstance(cell, float):
        return f"{cell:,.0f}" if abs(cell) >= 1000 else f"{cell:.3g}"
    return f"{cell:,}" if isinstance(cell, int) else cell


def _explain(console: Console, message: str, details: tuple[tuple[str, str | None], ...]) -> int:
    console.print()
    console.print(Text("the measurement stopped: ", "red").append(clean(message), "default"), soft_wrap=True)
    for name, text in details:
        if text:
            console.print(Text(f"  {name:9} ", "dim").append(clean(text), "default"), soft_wrap=True)
    return 1


def _plain(lab: str, workspace: Workspace, seed: int, tables: list[Table]) -> dict[str, Any]:
    return {
        "version": 1,
        "lab": lab,
        "implementation": clean(workspace.implementation),
        "seed": seed,
        "tables": [dataclasses.asdict(table) for table in tables],
    }

"""The command line: ``grader.py lab01|lab02|lab03|lab04|all|selftest``.

Whatever a person gets wrong is answered in one sentence and exit code 2, before anything runs.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import click

from harness.grading import exports
from harness.grading.asked import Asked, Kit, chosen, grade_labs
from harness.grading.hunt import hunt, replay
from harness.grading.machine import TOO_SMALL, shortages
from harness.grading.manifest import ManifestError
from harness.grading.measure import measure
from harness.grading.seeds import random_seed
from harness.grading.selection import SelectionError, lab_name, labs_named
from harness.grading.selftest import selftest
from harness.workspace import LABS, WorkspaceError

_Command = TypeVar("_Command", bound=Callable[..., Any])


class _Labs(click.Group):
    """Understands ``lab1`` and ``1`` for lab01, and ``lab04:C`` for ``lab04 --only C``."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        said, colon, only = args[0].partition(":")
        name = lab_name(said) or said.lower()
        if name not in self.commands:
            close = difflib.get_close_matches(name, self.commands, 1, 0.5)
            guess = f"; did you mean {close[0]}?" if close else ""
            raise click.UsageError(f"there is no lab {said!r}: the labs are {', '.join(LABS)}, or all{guess}")
        return name, self.commands[name], ["--only", only, *args[1:]] if colon else args[1:]


@click.group(cls=_Labs, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Grade the labs: what works, what does not, and where to read on.

    Exit code 0: full points. 1: fewer. 2: wrong usage, a fault of the harness, or a machine too busy or too small.
    """


_WHOSE = (
    click.option("--solution", is_flag=True, help="Take the reference in solutions/."),
    click.option(
        "--submission",
        metavar="DIR",
        help="Take the packages in DIR (DIR/labs/01_rpc/rpc or DIR/rpc).",
    ),
    click.option(
        "--reference", metavar="LAB", multiple=True, help="Take this lab's package from solutions/."
    ),
)


def _options(command: _Command) -> _Command:
    for option in reversed(
        (
            *_WHOSE,
            click.option(
                "--only", metavar="PART|TEST", multiple=True, help="Only these: C, lab04:C, or a test's name."
            ),
            click.option("--seed", type=click.IntRange(0), help="Replay with this seed (random by default)."),
            click.option("--repeat", type=click.IntRange(1), default=1, help="Run each test N times."),
            click.option(
                "--failed", is_flag=True, help="Only the tests that did not pass the last time they ran."
            ),
            click.option(
                "--watch", is_flag=True, help="Grade again whenever a file is saved; Ctrl-C ends it."
            ),
            click.option(
                "--jobs",
                type=click.IntRange(1),
                help="So many tests side by side (2 per processor, at most 4).",
            ),
            click.option("--json", "json_file", metavar="FILE", help="Write the results as JSON."),
            click.option("--junit", "junit_file", metavar="FILE", help="Write the results as JUnit XML."),
            click.option(
                "--list", "listing", is_flag=True, help="List parts, tests and points; run nothing."
            ),
            click.option(
                "-v", "--verbose", is_flag=True, help="A line for each test, with times and traces."
            ),
        )
    ):
        command = option(command)
    return command


def _add_lab(name: str, labs: Sequence[str], summary: str) -> None:
    @cli.command(name, help=summary, short_help=summary)
    @_options
    @click.pass_obj
    def _(kit: Kit, **said: Any) -> int:
        return grade_labs(kit, labs, Asked(**said))


for _lab in LABS.values():
    _add_lab(_lab.name, [_lab.name], f"Grade {_lab.name}, {_lab.root}.")
_add_lab("all", list(LABS), "Grade all labs.")


@cli.command("selftest", context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def _selftest(kit: Kit, arguments: tuple[str, ...]) -> int:
    """Run the kit's own tests; ARGUMENTS after -- go to pytest."""
    for one in shortages():
        click.echo(TOO_SMALL.format(one), err=True)
    return selftest(kit.root, arguments)


@cli.command("measure", short_help="Run a lab's measurements.")
@click.argument("lab")
@_WHOSE[0]
@_WHOSE[1]
@_WHOSE[2]
@click.option("--seed", type=click.IntRange(0), help="Replay with this seed (random by default).")
@click.option("--quick", is_flag=True, help="Small numbers: see that it works rather than measure.")
@click.option("--json", "json_file", metavar="FILE", help="Write the tables as JSON.")
@click.pass_obj
def _measure(
    kit: Kit,
    lab: str,
    solution: bool,
    submission: str | None,
    reference: tuple[str, ...],
    seed: int | None,
    quick: bool,
    json_file: str | None,
) -> int:
    """Run the measurements of LAB on your code and print tables. They give no points; they show what things cost."""
    (name,) = labs_named([lab])
    workspace = chosen(kit, solution, submission, reference)
    workspace.require(name)
    path = None if json_file is None else Path(json_file)
    if path is not None:
        exports.check_writable(path)
    seed = random_seed() if seed is None else seed
    return measure(name, workspace.for_lab(name), seed, quick=quick, json_file=path)


@cli.command("hunt", short_help="Look for a schedule of faults that breaks lab04.")
@click.argument("lab")
@_WHOSE[0]
@_WHOSE[1]
@_WHOSE[2]
@click.option("--minutes", type=click.FloatRange(0.0, min_open=True), default=5.0, help="How long (5).")
@click.option("--seed", type=click.IntRange(0), help="Draw the same schedules again (random by default).")
@click.option("--out", "out", metavar="FILE", help="Where to store a schedule that fails (below .labkit).")
@click.pass_obj
def _hunt(
    kit: Kit,
    lab: str,
    solution: bool,
    submission: str | None,
    reference: tuple[str, ...],
    minutes: float,
    seed: int | None,
    out: str | None,
) -> int:
    """Try schedules of faults on LAB beyond the graded ones; shrink the first that fails, and store it."""
    (name,) = labs_named([lab])
    if name != "lab04":
        raise click.UsageError(f"only lab04 can be hunted: {name} is no whole system")
    workspace = chosen(kit, solution, submission, reference)
    workspace.require(name)
    path = None if out is None else Path(out)
    if path is not None:
        exports.check_writable(path)
    return hunt(workspace.for_lab(name), random_seed() if seed is None else seed, minutes, path)


@cli.command("replay", short_help="Run a stored schedule again.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@_WHOSE[0]
@_WHOSE[1]
@_WHOSE[2]
@click.pass_obj
def _replay(kit: Kit, file: str, solution: bool, submission: str | None, reference: tuple[str, ...]) -> int:
    """Run the schedule in FILE again on your code."""
    workspace = chosen(kit, solution, submission, reference)
    workspace.require("lab04")
    return replay(workspace.for_lab("lab04"), Path(file))


def main(arguments: Sequence[str], kit: Kit | None = None) -> int:
    """Run one command; returns the exit code and never raises for a wrong command line."""
    try:
        code = cli.main(args=list(arguments), prog_name="grader.py", obj=kit or Kit(), standalone_mode=False)
        return int(code or 0)
    except click.exceptions.NoArgsIsHelpError as problem:
        return _complain(problem.format_message())
    except click.ClickException as problem:
        return _complain(f"grader: {problem.format_message()}")
    except (WorkspaceError, ManifestError, SelectionError, exports.ExportError) as problem:
        return _complain(f"grader: {problem}")
    except (KeyboardInterrupt, click.Abort):
        return _complain("grader: interrupted")


def _complain(sentence: str) -> int:
    with suppress(OSError):
        print(sentence, file=sys.stderr)
    return 2

"""The report a person reads at the end: points per part, then what to look at.

Failures that say the same thing (a node that cannot start fails every test) are told once, with the list
of tests; so are those behind which the same place in the program is, whatever each test saw of it.
What is simply not written yet is no failure to be explained: one line per hint.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.failures import BROKEN
from harness.grading.looks import looks_like
from harness.grading.manifest import LabManifest
from harness.grading.outcome import BUSY, Outcome, Status
from harness.grading.score import LabResult, Report, TestResult
from harness.grading.screen import status_word
from harness.grading.text import one_line

_NAMES_SHOWN = 3
_ALIKE = ("this looks like", "or like")  # the first of two, and the second
_NEAR = ("nothing known looks quite like this; nearest", "and near")
# The end of a traceback as `harness.processes.places.describe` writes it: the innermost line, and the type of the error.
_RAISED = re.compile(r"^(\S+ line \d+, in .*)\n(?!\S+ line \d+, in )([\w.]+)", re.MULTILINE)
# The end of what harness/restless.py says of a node that never rests: the function, in which it may be at any line.
_BUSIEST = re.compile(r"(\S+) line \d+, (in \S+)$")
_TO_WRITE = re.compile(r"\blab (\d) part [A-Z]\b")


def show_report(console: Console, report: Report) -> None:
    """The whole report."""
    for lab in report.labs:
        _show_points(console, report, lab)
        failed = [test for test in lab.tests if test.status is not Status.PASSED]
        not_written = [test for test in failed if test.outcome is not None and test.outcome.not_written]
        unfinished = [test for test in failed if report.interrupted and test.status is Status.MISSING]
        rest = [test for test in failed if test not in not_written and test not in unfinished]
        for group in _grouped(rest):
            _show_failure(console, group)
        _show_likeness(console, lab)
        if not_written:
            _show_not_written(console, not_written)
    _show_end(console, report)


def show_list(console: Console, manifests: Sequence[LabManifest]) -> None:
    """Parts, tests, titles and points, without running anything."""
    for manifest in manifests:
        points = sum(part.points for part in manifest.parts)
        console.print(Text(f"{manifest.lab}  {manifest.title}, {points} points", "bold"))
        for part in manifest.parts:
            console.print(Text(f"  {part.part}  {part.title}, {part.points} points", "cyan"))
            if not part.tests:
                console.print("     no tests yet")
            for test in part.tests:
                console.print(
                    Text(f"     {test.points:3}  {test.name}").append(f"  {test.claim.title}", "dim")
                )
        console.print()


def _show_points(console: Console, report: Report, lab: LabResult) -> None:
    console.print()
    console.print(Text(f"{lab.lab}  {lab.title}", "bold"))
    console.print(Text(f"{one_line(report.implementation)}, seed {report.seed}", "dim"))
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    table.add_column()
    table.add_column()
    table.add_column(justify="right")
    table.add_column()
    for part in lab.parts:
        passed = sum(test.status is Status.PASSED for test in lab.tests if test.test.part == part.part)
        count = sum(test.test.part == part.part for test in lab.tests)
        style = "green" if part.score == part.max_score else "red" if part.score == 0 else "yellow"
        points = Text(f"{part.score} / {part.max_score}", style)
        table.add_row(
            part.part, part.title, points, f"{passed} of {count} tests" if count else "no tests yet"
        )
    table.add_row("", Text("total", "bold"), Text(f"{lab.score} / {lab.max_score}", "bold"), "")
    console.print(table)


def _grouped(failures: Sequence[TestResult]) -> list[list[TestResult]]:
    """Tests with the same outcome, or the same trouble in the program, together, in the order of their first."""
    groups: dict[tuple[str, ...], list[TestResult]] = {}
    for result in failures:
        told = result.outcome or Outcome(result.status, "")
        same = (result.status.value, told.message, told.expected, told.seen, told.witness)
        if told.kind == "fault":
            same = (result.status.value, told.message)
        if told.kind in (BROKEN, BUSY):
            place = _RAISED.search(told.witness) or _BUSIEST.search(told.witness)
            if place or told.kind == BROKEN:
                same = (result.status.value, *(place.groups() if place else (_trouble(result), told.witness)))
        groups.setdefault(same, []).append(result)
    return list(groups.values())


def _trouble(result: TestResult) -> str:
    """What went wrong, without the schedule of faults during which it did."""
    return result.outcome.message.partition(", after: ")[0] if result.outcome else ""


def _show_failure(console: Console, group: Sequence[TestResult]) -> None:
    first = group[0]
    outcome, test = first.outcome, first.test
    lost = sum(result.test.points for result in group)
    parts = ", ".join(sorted({result.test.part for result in group}))
    console.print()
    head = status_word(first).append(f"  part {parts}, {_points(lost)} lost: ", "default")
    if len(group) == 1:
        console.print(head.append(test.claim.title, "bold"))
    else:
        alike = len({_trouble(result) for result in group}) == 1
        reason = (
            "all for the same reason"
            if alike
            else "the same place in the program is behind each; one of them"
        )
        console.print(head.append(f"{len(group)} tests, {reason}", "bold"))
    if outcome is None:
        return
    rows: list[tuple[str, str]] = [("said", outcome.message), ("expected", outcome.expected)]
    rows += [("seen", outcome.seen), ("witness", outcome.witness), ("why", outcome.why)]
    rows += [("stands", outcome.stands)]
    # A hint is about one test's claim; it helps neither where several fail alike, nor with a program that breaks.
    helps = len(group) == 1 and outcome.kind != BROKEN and first.status is not Status.ERROR
    rows += [("hint", test.claim.hint)] if helps else []
    rows += [("read", test.claim.read)]
    rows += [("test", outcome.where or test.name) if len(group) == 1 else ("tests", _names(group))]
    rows += [("trace", first.traces[-1] if first.traces else outcome.trace)]
    rows += [("replay", first.replay)]
    for name, text in rows:
        if text:
            _show_row(console, name, text)


def _show_likeness(console: Console, lab: LabResult) -> None:
    for number, one in enumerate(looks_like(lab)):
        console.print()
        first, next_ = _ALIKE if one.same else _NEAR
        head = first if number == 0 else next_
        console.print(Text(f"{head}: ", "bold").append(one.known.title, "default"), soft_wrap=True)
        _show_row(console, "read", one.known.read)


def _show_row(console: Console, name: str, text: str) -> None:
    """A label, and the text as a block beside it; never wrapped, so that commands can be copied."""
    for number, line in enumerate(text.split("\n")):
        label = f"  {name if number == 0 else '':9} "
        console.print(Text(label, "dim").append(line, "default"), soft_wrap=True)


def _show_not_written(console: Console, results: Sequence[TestResult]) -> None:
    points = sum(result.test.points for result in results)
    console.print()
    console.print(Text(f"Not written yet: {_tests(results)}, {_points(points)}", "yellow bold"))
    for group in _grouped(results):
        first = group[0]
        message = first.outcome.message.removeprefix("not written yet: ") if first.outcome else ""
        _show_row(console, f"part {first.test.part}", one_line(message))
        console.print(Text(f"{'':12}{_names(group)}", "dim"), soft_wrap=True)
    first = results[0]
    command = first.replay.split(" --only ")[0]
    if earlier := _earlier_labs(results):
        command += "".join(f" --reference {lab}" for lab in earlier)
        _show_row(console, "first", f"write {' and '.join(earlier)}, or take the reference's, as below")
    elif first.test.claim.read:
        _show_row(console, "begin", first.test.claim.read)
    _show_row(console, "then run", f"{command} --only {first.test.part}")


def _earlier_labs(results: Sequence[TestResult]) -> list[str]:
    """The labs before that of the tests in which something is to be written."""
    found = [_TO_WRITE.search(result.outcome.message) for result in results if result.outcome]
    return sorted({lab for one in found if one and (lab := f"lab0{one[1]}") < results[0].test.lab})


def _show_end(console: Console, report: Report) -> None:
    console.print()
    for fault in report.faults:
        console.print(Text("fault of the harness: ", "bold magenta").append(fault, "default"))
    if report.interrupted:
        done = sum(test.status is not Status.MISSING for test in report.tests)
        console.print(
            Text(f"interrupted by {report.interrupted} after {done} of {len(report.tests)} tests", "bold")
        )
    if report.covered.get("points"):
        faults, points = report.covered["faults"], report.covered["points"]
        console.print(f"{faults} faults injected, {points} protocol points covered")
    if report.selected:
        console.print("Only the selected tests were run and counted (--only, --failed).")
    if len(report.labs) > 1 or report.selected or report.interrupted:
        console.print(Text(f"total {report.score} / {report.max_score}", "bold"))
    if report.exit_code == 2 and not report.interrupted:
        console.print(_why_two(report))


def _why_two(report: Report) -> str:
    if report.shortages:
        return f"These points may be too low, for on this machine {'; '.join(report.shortages)}."
    errors = [test.outcome for test in report.tests if test.status is Status.ERROR]
    if not report.faults and all(outcome is not None and outcome.kind == BUSY for outcome in errors):
        return "This machine was too busy for some tests, so these points may be too low: run those again."
    return "The harness failed somewhere, so these points may be too low; please report it."


def _points(number: int) -> str:
    return "1 point" if number == 1 else f"{number} points"


def _tests(results: Sequence[TestResult]) -> str:
    return "1 test" if len(results) == 1 else f"{len(results)} tests"


def _names(group: Sequence[TestResult]) -> str:
    names = [result.test.name for result in group]
    more = len(names) - _NAMES_SHOWN
    return ", ".join(names[:_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")

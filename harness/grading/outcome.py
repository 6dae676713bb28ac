"""What became of one test, as data.

``judge`` turns the exception that ended a test into an ``Outcome``. A failed claim, an error that the
student's program answered with, and a plain ``assert`` cost the student points: *failed*. Anything else
is a fault of the kit: *error*. All text is cleaned here, once, so that every report may show it.
"""

from __future__ import annotations

import enum
import linecache
import traceback
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.failures import NOT_IMPLEMENTED, HarnessFault, LabFailure, TooBusy
from harness.grading.text import clean, one_line
from labkit.errors import LabError

BUSY = "busy"  # the kind of an outcome that shows nothing, because this machine had no time for the test
_BUSY_WHY = "no proof of anything, for your code or against it: run it again when less runs beside it, or with --jobs 1"


class Status(enum.Enum):
    """How a test of the manifest ended; only ``PASSED`` scores."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    MISSING = "missing"
    TIMEOUT = "timeout"


class DeadlineExceeded(BaseException):
    """A test ran out of time. Not an ``Exception``, so that no test swallows it by mistake.

    ``starved``: the processor was withheld for most of that time, so it shows nothing. ``known``: what is known of the
    test's nodes, in words; ``stands``: where their threads are.
    """

    starved = False
    known = ""
    stands = ""


@dataclass(frozen=True)
class Outcome:
    """Why a test did not pass. Empty texts have nothing to say; ``where`` is file:line of the test.

    ``stands``: where the threads of the nodes were, one line each.
    """

    status: Status
    message: str
    kind: str = ""
    expected: str = ""
    seen: str = ""
    witness: str = ""
    why: str = ""
    where: str = ""
    trace: str = ""
    stands: str = ""

    @property
    def not_written(self) -> bool:
        """The student has not begun here; nothing is broken."""
        return self.kind == NOT_IMPLEMENTED

    def as_text(self) -> str:
        """Everything, on several lines, for the exports."""
        named = [("expected", self.expected), ("seen", self.seen), ("witness", self.witness)]
        named += [("why", self.why), ("at", self.where), ("trace", self.trace), ("stands", self.stands)]
        return "\n".join([self.message, *(f"{name}: {text}" for name, text in named if text)])


def judge(error: BaseException, tests: Path, phase: str) -> Outcome:
    """The outcome of a test that ``error`` ended during ``phase``; its graded tests live in ``tests``."""
    where, source = _place(error, tests)
    if isinstance(error, LabFailure):
        return _lab_failure(error, where)
    if isinstance(error, TooBusy) or (isinstance(error, DeadlineExceeded) and error.starved):
        return Outcome(
            Status.ERROR,
            clean(error, lines=12),
            kind=BUSY,
            where=where,
            witness=clean(error.known, lines=12),
            why=_BUSY_WHY,
            stands=clean(error.stands, lines=12),
        )
    if isinstance(error, DeadlineExceeded):
        return Outcome(
            Status.TIMEOUT,
            one_line(error),
            where=where,
            seen=source and f"still in: {source}",
            witness=clean(error.known, lines=12),
            stands=clean(error.stands, lines=12),
        )
    if isinstance(error, pytest.skip.Exception):
        return Outcome(Status.MISSING, f"skipped, so nothing was shown: {one_line(error)}", where=where)
    if isinstance(error, pytest.fail.Exception) and phase == "call":
        return Outcome(Status.FAILED, one_line(error), where=where)
    if isinstance(error, LabError):
        return Outcome(
            Status.FAILED,
            f"the test got an error from your program: {type(error).__name__}: {one_line(error)}",
            where=where,
            seen=source and f"raised by: {source}",
        )
    if isinstance(error, AssertionError) and phase != "teardown":
        return _plain_assertion(error, where, source)
    return _fault(error, where, phase)


def _lab_failure(error: LabFailure, where: str) -> Outcome:
    message = clean(error.message, lines=12)
    if error.kind == NOT_IMPLEMENTED and not message.startswith("not written yet"):
        message = f"not written yet: {message}"
    return Outcome(
        Status.FAILED,
        message,
        kind=error.kind,
        expected=clean(error.expected or "", lines=20),
        seen=clean(error.seen or "", lines=20),
        witness=clean(error.witness or ""),
        why=clean(error.why or "", lines=12),
        where=where,
        trace=one_line(error.trace or ""),
        stands=clean(error.stands, lines=12),
    )


def _plain_assertion(error: AssertionError, where: str, source: str) -> Outcome:
    said = clean(error, lines=20)
    head, _, rest = said.partition("\n")
    if not head:
        return Outcome(Status.FAILED, source or "an assertion does not hold", where=where)
    return Outcome(
        Status.FAILED, head, where=where, seen=rest.strip() or (source and f"checked by: {source}")
    )


def _fault(error: BaseException, where: str, phase: str) -> Outcome:
    doing = {"setup": "preparing", "call": "running", "teardown": "cleaning up after"}.get(phase, phase)
    if isinstance(error, HarnessFault):
        message = f"fault of the harness while {doing} the test: {one_line(error)}"
    else:
        said = f"{type(error).__name__}: {one_line(error)}"
        message = f"unexpected error while {doing} the test (not your fault): {said}"
    trace = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    return Outcome(
        Status.ERROR, message, kind="fault", where=where, witness=clean(trace, lines=30, tail=True)
    )


def _place(error: BaseException, tests: Path) -> tuple[str, str]:
    """``file:line`` and the source line, of the innermost frame inside the graded tests."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.is_relative_to(tests) and frame.lineno:
            kit = tests.parent.parent.parent
            source = linecache.getline(frame.filename, frame.lineno)
            return f"{path.relative_to(kit)}:{frame.lineno}", one_line(source, 160)
    return "", ""

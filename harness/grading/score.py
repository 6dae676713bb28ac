"""Results against the manifest: tests, parts, labs, and the exit code.

All or nothing per test: its points count when every one of its attempts passed. The attempts of a test
are its repetitions times its parameters; the worst outcome speaks for the test, and the earliest seed
that failed replays it.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from harness.grading.manifest import GradedTest, LabManifest
from harness.grading.outcome import Outcome, Status

_WORST_FIRST = (Status.ERROR, Status.TIMEOUT, Status.MISSING, Status.FAILED)


@dataclass(frozen=True)
class Attempt:
    """One run of one test. ``outcome`` is None when it passed; ``finished`` is False when it was cut off."""

    seed: int
    seconds: float
    outcome: Outcome | None
    finished: bool
    trace: str = ""


@dataclass(frozen=True)
class TestResult:
    """What one test of the manifest scored, and why not more."""

    __test__ = False  # not a test class, whatever pytest thinks of its name

    test: GradedTest
    status: Status
    seconds: float
    outcome: Outcome | None
    replay: str
    attempts: int = 1
    failures: int = 0
    traces: tuple[str, ...] = ()

    @property
    def score(self) -> int:
        """All the points of the test, or none."""
        return self.test.points if self.status is Status.PASSED else 0

    @property
    def message(self) -> str:
        """Everything there is to say about a test that did not pass."""
        return self.outcome.as_text() if self.outcome else ""


@dataclass(frozen=True)
class PartResult:
    """The points of one part."""

    part: str
    title: str
    score: int
    max_score: int


@dataclass(frozen=True)
class LabResult:
    """The points of one lab."""

    lab: str
    title: str
    parts: tuple[PartResult, ...]
    tests: tuple[TestResult, ...]

    @property
    def score(self) -> int:
        """The sum over the parts."""
        return sum(part.score for part in self.parts)

    @property
    def max_score(self) -> int:
        """What could be had."""
        return sum(part.max_score for part in self.parts)


@dataclass(frozen=True)
class Report:
    """The result of one run of the grader. `covered`: "faults" injected, and protocol "points" at which one struck.
    `shortages`: what the machine has too little of, so that tests may have failed whatever the code is."""

    seed: int
    implementation: str
    labs: tuple[LabResult, ...]
    selected: bool = False
    faults: tuple[str, ...] = ()
    covered: Mapping[str, int] = field(default_factory=dict[str, int])
    interrupted: str | None = None
    shortages: tuple[str, ...] = ()

    @property
    def score(self) -> int:
        """The sum over the labs."""
        return sum(lab.score for lab in self.labs)

    @property
    def max_score(self) -> int:
        """What could be had."""
        return sum(lab.max_score for lab in self.labs)

    @property
    def tests(self) -> tuple[TestResult, ...]:
        """All tests of all labs."""
        return tuple(test for lab in self.labs for test in lab.tests)

    @property
    def exit_code(self) -> int:
        """0: full points. 1: fewer. 2: the harness or the machine failed, or it was interrupted: the points mean little."""
        if self.interrupted or self.faults or any(test.status is Status.ERROR for test in self.tests):
            return 2
        if self.score == self.max_score:
            return 0
        return 2 if self.shortages else 1


@dataclass(frozen=True)
class Replay:
    """Writes the command that runs one test again. ``options`` choose the workspace."""

    options: tuple[str, ...]

    def command(self, test: GradedTest, seed: int) -> str:
        """A line for a shell."""
        words = ["python3", "grader.py", test.lab, *self.options, "--only", test.name, "--seed", str(seed)]
        return shlex.join(words)


def result_of(test: GradedTest, attempts: Sequence[Attempt], seed: int, replay: Replay) -> TestResult:
    """Judge one test by all its attempts; without any, it is missing."""
    seconds = sum(attempt.seconds for attempt in attempts)
    traces = tuple(attempt.trace for attempt in attempts if attempt.trace)
    failed = [attempt for attempt in attempts if attempt.outcome is not None or not attempt.finished]
    if attempts and not failed:
        return TestResult(
            test, Status.PASSED, seconds, None, replay.command(test, seed), len(attempts), traces=traces
        )
    if not failed:
        outcome = Outcome(Status.MISSING, "the manifest has this test, but no such test was run")
        return TestResult(test, Status.MISSING, 0.0, outcome, replay.command(test, seed), 0)
    outcome, first = _worst(failed)
    if len(attempts) > 1:
        count = f"{len(failed)} of {len(attempts)} failed, first with seed {first.seed}"
        outcome = replace(outcome, message=f"{outcome.message}\n({count})")
    command = replay.command(test, first.seed)
    return TestResult(test, outcome.status, seconds, outcome, command, len(attempts), len(failed), traces)


def tally(manifest: LabManifest, results: Mapping[str, TestResult]) -> LabResult:
    """The points of a lab. ``results`` maps test ids to results and has every test of the manifest."""
    parts = tuple(
        PartResult(part.part, part.title, sum(results[test.key].score for test in part.tests), part.points)
        for part in manifest.parts
    )
    return LabResult(manifest.lab, manifest.title, parts, tuple(results[test.key] for test in manifest.tests))


def _worst(failed: Sequence[Attempt]) -> tuple[Outcome, Attempt]:
    """The first attempt of the worst kind: a fault of the harness must not hide behind a failure."""
    cut_off = Outcome(Status.MISSING, "the run was stopped before this test was finished")
    judged = [(attempt.outcome or cut_off, attempt) for attempt in failed]
    return min(judged, key=lambda one: (_WORST_FIRST.index(one[0].status), one[1].seed))

"""The account of a whole run: what the workers told, against the manifest.

A test of which nothing was heard, or not everything, has shown nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from harness.grading.events import Attempted, Collected, Covered, Event, Fault, Started, Unreadable
from harness.grading.manifest import GradedTest, LabManifest
from harness.grading.outcome import Outcome, Status
from harness.grading.plugin import Settings
from harness.grading.score import Attempt, Replay, TestResult, result_of


class Watcher(Protocol):
    """Whoever wants to see results as they come."""

    def started(self, test: GradedTest) -> None:
        """An attempt of a test begins."""
        ...

    def finished(self, result: TestResult) -> None:
        """The last attempt of a test has ended."""
        ...


class Ledger:
    """Enter events, then ask for ``results``."""

    def __init__(self, manifests: Sequence[LabManifest], settings: Settings, watcher: Watcher) -> None:
        self.faults: list[str] = []
        self.covered: Counter[str] = Counter()
        self._seed = settings.seed
        self._watcher = watcher
        self._manifests = manifests
        self._tests = {test.key: test for manifest in manifests for test in manifest.tests}
        self._replay = Replay(settings.workspace.options)
        self._items: dict[str, GradedTest] = {}
        self._attempts: dict[str, Attempt] = {}
        self._unreadable: dict[Path, str] = {}

    def enter(self, event: Event) -> None:
        """Take down what a worker told."""
        match event:
            case Collected(items) if not self._items:
                self._items = {name: self._tests[key] for name, (key, _) in items.items()}
                # Until more is heard of it, every item counts as cut off.
                self._attempts = {name: Attempt(seed, 0.0, None, False) for name, (_, seed) in items.items()}
            case Unreadable(path, why):
                self._unreadable[path] = why
            case Started(item):
                self._watcher.started(self._items[item])
            case Attempted(item, attempt):
                self._attempts[item] = attempt
                self._watch(self._items[item])
            case Covered(what, number):
                self.covered[what] += number
            case Fault(what):
                self.faults.append(what)
            case _:
                pass

    def lost(self, item: str, why: str) -> None:
        """The worker that ran this item is gone: nobody knows how it would have ended."""
        outcome = Outcome(Status.ERROR, why, kind="fault")
        self.enter(Attempted(item, Attempt(self._attempts[item].seed, 0.0, outcome, True)))

    def results(self) -> dict[str, TestResult]:
        """The result of every test of the manifests, by key."""
        return {test.key: self._result(test) for test in self._tests.values()}

    def _attempts_of(self, test: GradedTest) -> list[Attempt]:
        return [self._attempts[item] for item, its in self._items.items() if its is test]

    def _watch(self, test: GradedTest) -> None:
        if all(attempt.finished for attempt in self._attempts_of(test)):
            self._watcher.finished(self._result(test))

    def _result(self, test: GradedTest) -> TestResult:
        attempts = self._attempts_of(test)
        result = result_of(test, attempts, self._seed, self._replay)
        if not attempts and (problem := self._why_not_collected(test)):
            outcome = Outcome(Status.ERROR, problem, kind="fault")
            return TestResult(test, Status.ERROR, 0.0, outcome, result.replay, 0)
        return result

    def _why_not_collected(self, test: GradedTest) -> str:
        """A file of the test's lab that could not be read: the test may have been in there."""
        directory = next(one.directory for one in self._manifests if one.lab == test.lab)
        broken = [text for path, text in self._unreadable.items() if path.is_relative_to(directory)]
        return broken[0] if broken else ""

"""The bookkeeping of a graded run, as a pytest plugin.

It keeps its own account of what became of each test of the manifest, by watching the phases of every
item. Nothing else counts: not pytest's exit code, not anything printed. A test that never reported, was
skipped, or is expected to fail has shown nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from harness.grading.manifest import GradedTest, LabManifest
from harness.grading.outcome import Outcome, Status, judge
from harness.grading.plugin import SETTINGS, Settings, item_key, repetition_of, test_name
from harness.grading.score import Attempt, Replay, TestResult, result_of
from harness.grading.text import clean, one_line
from harness.workspace import lab_of_path

# What a test may leave in its item's user_properties, to be summed up over the run.
COVERED = ("faults", "points")


class Watcher(Protocol):
    """Whoever wants to see results as they come."""

    def started(self, test: GradedTest) -> None:
        """The first attempt of a test begins."""
        ...

    def finished(self, result: TestResult) -> None:
        """The last attempt of a test has ended."""
        ...


@dataclass
class _Account:
    """One item while it runs."""

    test: GradedTest
    key: str
    seed: int
    called: bool = False
    finished: bool = False
    seconds: float = 0.0
    outcome: Outcome | None = None
    trace: str = ""

    def attempt(self) -> Attempt:
        outcome = self.outcome
        if outcome is None and self.finished and not self.called:
            outcome = Outcome(Status.MISSING, "the test ended without having been run")
        return Attempt(self.seed, self.seconds, outcome, self.finished, self.trace)


class Recorder:
    """The account of one run: give it to pytest as a plugin, then ask for ``results``."""

    def __init__(self, manifests: Sequence[LabManifest], settings: Settings, watcher: Watcher) -> None:
        self.faults: list[str] = []
        self.covered: Counter[str] = Counter()
        self._settings = settings
        self._watcher = watcher
        self._manifests = manifests
        self._tests = {test.key: test for manifest in manifests for test in manifest.tests}
        self._replay = Replay(settings.workspace.options)
        self._accounts: dict[str, _Account] = {}
        self._remaining: dict[str, int] = {}
        self._unreadable: dict[Path, str] = {}

    def results(self) -> dict[str, TestResult]:
        """The result of every test of the manifests, by id."""
        return {test.key: self._result(test) for test in self._tests.values()}

    def _result(self, test: GradedTest) -> TestResult:
        attempts = [account.attempt() for account in self._accounts.values() if account.test is test]
        result = result_of(test, attempts, self._settings.seed, self._replay)
        if not attempts and (problem := self._why_not_collected(test)):
            outcome = Outcome(Status.ERROR, problem, kind="fault")
            return TestResult(test, Status.ERROR, 0.0, outcome, result.replay, 0)
        return result

    def _why_not_collected(self, test: GradedTest) -> str:
        """A file of the test's lab that could not be read: the test may have been in there."""
        directory = next(one.directory for one in self._manifests if one.lab == test.lab)
        broken = [text for path, text in self._unreadable.items() if path.is_relative_to(directory)]
        return broken[0] if broken else ""

    # pytest's hooks, in the order of a run.

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Hand the settings to the fixtures, before they are asked for."""
        config.stash[SETTINGS] = self._settings

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A file that cannot be imported is the kit's fault, and does not stop the others."""
        if report.failed:
            lines = [
                line for line in clean(report.longreprtext, tail=True).splitlines() if line.startswith("E ")
            ]
            reason = one_line(" ".join(line[2:] for line in lines) or report.longreprtext)
            path = Path(report.fspath)
            self._unreadable[self._absolute(path)] = f"{path} could not be loaded (not your fault): {reason}"

    def _absolute(self, path: Path) -> Path:
        kit = self._manifests[0].directory.parent.parent.parent
        return kit / path

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Keep what the manifest has; all accounts are opened before the first test runs."""
        kept: list[pytest.Item] = []
        for item in items:
            lab = lab_of_path(item.path)
            test = self._tests.get(f"{lab.name}:{test_name(item)}") if lab else None
            if test is not None:
                kept.append(item)
                seed = self._settings.seed + repetition_of(item)
                self._accounts[item.nodeid] = _Account(test, item_key(item), seed)
                self._remaining[test.key] = self._remaining.get(test.key, 0) + 1
        items[:] = kept

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Tell the watcher that a test begins."""
        self._watcher.started(self._accounts[nodeid].test)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Enter one phase of one item: from the exception itself, not from its text."""
        report = yield
        account = self._accounts[item.nodeid]
        account.seconds += call.duration
        traces = [one_line(value) for name, value in item.user_properties if name == "trace"]
        account.trace = traces[-1] if traces else account.trace
        if call.when == "teardown":
            for name, number in item.user_properties:
                if name in COVERED:
                    self.covered[name] += int(str(number))
        if hasattr(report, "wasxfail"):
            outcome = Outcome(Status.MISSING, "marked as expected to fail, so nothing was shown")
        elif call.excinfo is None:
            account.called = account.called or call.when == "call"
            return report
        else:
            directory = next(one.directory for one in self._manifests if one.lab == account.test.lab)
            outcome = judge(call.excinfo.value, directory, call.when)
        # The first thing that went wrong is the reason; but a fault of the harness is always told.
        if account.outcome is None or outcome.status is Status.ERROR:
            account.outcome = outcome
        account.trace = account.trace or outcome.trace
        return report

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Close the account of an item; tell the watcher when a test's last item is done."""
        account = self._accounts[nodeid]
        account.finished = True
        self._remaining[account.test.key] -= 1
        if self._remaining[account.test.key] == 0:
            self._watcher.finished(self._result(account.test))

    def pytest_internalerror(self, excrepr: object) -> bool:
        """A fault of pytest or of a plugin ends the run; say so instead of printing it."""
        self.faults.append(clean(excrepr, lines=30, tail=True))
        return True

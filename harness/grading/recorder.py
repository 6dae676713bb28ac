"""The bookkeeping of a worker, as a pytest plugin: it tells what became of each item as an event.

It watches the phases of every item. Nothing else counts: not pytest's exit code, not anything printed. A test
that never reported, was skipped, or is expected to fail has shown nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.grading.events import Attempted, Collected, Covered, Event, Fault, Started, Unreadable
from harness.grading.manifest import GradedTest, LabManifest
from harness.grading.outcome import Outcome, Status, judge
from harness.grading.plugin import SETTINGS, Settings, repetition_of, test_name
from harness.grading.score import Attempt
from harness.grading.text import clean, one_line
from harness.workspace import lab_of_path

# What a test may leave in its item's user_properties, to be summed up over the run.
COVERED = ("faults", "points")


@dataclass
class _Account:
    """One item while it runs."""

    test: GradedTest
    seed: int
    called: bool = False
    seconds: float = 0.0
    outcome: Outcome | None = None
    trace: str = ""

    def attempt(self) -> Attempt:
        outcome = self.outcome
        if outcome is None and not self.called:
            outcome = Outcome(Status.MISSING, "the test ended without having been run")
        return Attempt(self.seed, self.seconds, outcome, True, self.trace)


class Recorder:
    """Give it to pytest as a plugin; `tell` hears everything."""

    def __init__(
        self, manifests: Sequence[LabManifest], settings: Settings, tell: Callable[[Event], None]
    ) -> None:
        self._settings = settings
        self._tell = tell
        self._directories = {manifest.lab: manifest.directory for manifest in manifests}
        self._tests = {test.key: test for manifest in manifests for test in manifest.tests}
        self._accounts: dict[str, _Account] = {}

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
            why = f"{path} could not be loaded (not your fault): {reason}"
            self._tell(Unreadable(self._absolute(path), why))

    def _absolute(self, path: Path) -> Path:
        kit = next(iter(self._directories.values())).parent.parent.parent
        return kit / path

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Keep what the manifest has, in the order the settings want."""
        kept: list[tuple[str, pytest.Item]] = []
        for item in items:
            lab = lab_of_path(item.path)
            test = self._tests.get(f"{lab.name}:{test_name(item)}") if lab else None
            if test is not None:
                kept.append((test.key, item))
                seed = self._settings.seed + repetition_of(item)
                self._accounts[item.nodeid] = _Account(test, seed)
        # What takes long goes first, so that nobody waits for it at the end; the sort keeps what is equal in place.
        kept.sort(key=lambda one: -self._settings.expected_seconds.get(one[0], 0.0))
        items[:] = [item for _, item in kept]
        accounts = ((item.nodeid, self._accounts[item.nodeid]) for item in items)
        self._tell(Collected({name: (account.test.key, account.seed) for name, account in accounts}))

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """An item begins."""
        self._tell(Started(nodeid))

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
                    self._tell(Covered(name, int(str(number))))
        if hasattr(report, "wasxfail"):
            outcome = Outcome(Status.MISSING, "marked as expected to fail, so nothing was shown")
        elif call.excinfo is None:
            account.called = account.called or call.when == "call"
            return report
        else:
            outcome = judge(call.excinfo.value, self._directories[account.test.lab], call.when)
        # The first thing that went wrong is the reason; but a fault of the harness is always told.
        if account.outcome is None or outcome.status is Status.ERROR:
            account.outcome = outcome
        account.trace = account.trace or outcome.trace
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Close the account of an item."""
        self._tell(Attempted(nodeid, self._accounts[nodeid].attempt()))

    def pytest_internalerror(self, excrepr: object) -> bool:
        """A fault of pytest or of a plugin ends the run; say so instead of printing it."""
        self._tell(Fault(clean(excrepr, lines=30, tail=True)))
        return True

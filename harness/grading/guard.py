"""Deadlines and interruptions of a graded run.

Both arrive as signals, and a signal may hit at any instruction. The rule: an exception is raised only
while pytest is inside a phase of a test that can take it, and never inside a teardown, for there the
harness is killing processes. An interruption that comes during a teardown is remembered and acted upon
right after it. Teardowns have their own, short deadline, so that a stop always comes to an end.
"""

from __future__ import annotations

import signal
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest

from harness.failures import HarnessFault
from harness.grading.outcome import DeadlineExceeded
from harness.patience import Deadline

TEARDOWN_SECONDS = 15.0
_AGAIN_SECONDS = 0.25
_SWALLOWED_SECONDS = 5.0  # a test that has not ended by then has caught the exception, and gets it once more
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(KeyboardInterrupt):
    """The person, or the machine, wants the run to end now."""


class RunGuard:
    """A pytest plugin that owns the signals of one run."""

    def __init__(self) -> None:
        self.interrupted: str | None = None
        self._phase: str | None = None
        self._deadline = Deadline(0.0)
        self._expired: BaseException | None = None
        self._raised = False

    @contextmanager
    def installed(self) -> Generator[None, None, None]:
        """Handle the signals until the end; a signal that was ignored (nohup) stays ignored."""
        before: dict[signal.Signals, Any] = {}
        for number in STOPPING:
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, self._stop)
        before[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._expire)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        if self.interrupted is None:
            self.interrupted = signal.Signals(number).name
            if self._phase != "teardown":
                raise Interrupted

    def _expire(self, _number: int, _frame: FrameType | None) -> None:
        # The timer comes again until it is cancelled: between two phases nobody could take the exception, and
        # on a busy machine seconds of patience take longer.
        if self._phase is not None and self._expired is not None and self._deadline.left <= 0:
            starved, self._deadline = self._deadline.starved, Deadline(_SWALLOWED_SECONDS)
            if isinstance(self._expired, DeadlineExceeded) and not self._raised and starved:
                self._expired = DeadlineExceeded(f"this machine was too busy: {self._expired}")
                self._expired.starved = True
            self._raised = True
            raise self._expired

    def _arm(self, seconds: float, expired: BaseException) -> None:
        self._expired, self._deadline, self._raised = expired, Deadline(seconds), False
        signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN_SECONDS)

    def _disarm(self) -> None:
        self._expired = None
        signal.setitimer(signal.ITIMER_REAL, 0)

    # pytest-timeout decides whether and how long; these two hooks of it replace its own timer.

    @pytest.hookimpl
    def pytest_timeout_set_timer(self, item: pytest.Item, settings: Any) -> bool:
        """Start the deadline of a test."""
        seconds = float(settings.timeout)
        self._arm(seconds, DeadlineExceeded(f"did not finish within its deadline of {seconds:g} s"))
        return True

    @pytest.hookimpl
    def pytest_timeout_cancel_timer(self, item: pytest.Item) -> bool:
        """The test is over."""
        self._disarm()
        return True

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self) -> Generator[None, None, None]:
        """Signals may be raised while fixtures are prepared."""
        with self._during("setup"):
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self) -> Generator[None, None, None]:
        """Signals may be raised while the test runs."""
        with self._during("call"):
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self) -> Generator[None, None, None]:
        """Nothing but its own deadline interrupts a teardown."""
        with self._during("teardown"):
            self._arm(TEARDOWN_SECONDS, _teardown_expired())
            try:
                return (yield)
            finally:
                self._disarm()

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logfinish(self) -> None:
        """Act upon an interruption that came during the teardown."""
        if self.interrupted:
            raise Interrupted

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self) -> Generator[None, None, None]:
        """After an interruption, this is where pytest tears down what the test held."""
        with self._during("teardown"):
            self._arm(TEARDOWN_SECONDS, _teardown_expired())
            try:
                return (yield)
            finally:
                self._disarm()

    @contextmanager
    def _during(self, phase: str) -> Generator[None, None, None]:
        self._phase = phase
        try:
            yield
        finally:
            self._phase = None


def _teardown_expired() -> HarnessFault:
    return HarnessFault(f"the cleanup did not finish within {TEARDOWN_SECONDS:g} s")

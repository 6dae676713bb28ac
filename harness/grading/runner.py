"""Runs graded tests side by side: forks workers, hears what they tell, and sees to it that they end.

Graded tests mostly wait for nodes, so that a few workers on one processor are worth it. A worker that is killed
(by a student's program, or for want of memory) costs the test it ran; another takes its place.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
import traceback
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path
from types import FrameType
from typing import Any

from harness.grading.events import Attempted, Ended, Event, Fault, Started, from_bytes, to_bytes
from harness.grading.guard import STOPPING, TEARDOWN_SECONDS
from harness.grading.ledger import Ledger, Watcher
from harness.grading.manifest import LabManifest
from harness.grading.outcome import BUSY
from harness.grading.plugin import Settings
from harness.grading.score import Report, tally
from harness.grading.worker import Turns, work
from harness.processes import linux

MOST_JOBS = 4
MOST_AGAIN = 5  # tests; if more were starved of the processor, another try would hardly end better
MOST_BYTES = 1 << 24  # of one message of a worker
_LOST = "the process that ran this test was killed from outside ({}): not by the kit"


def usual_jobs() -> int:
    """Two workers for each processor, at most `MOST_JOBS`."""
    return min(MOST_JOBS, 2 * len(os.sched_getaffinity(0)))


def grade(
    kit: Path,
    manifests: Sequence[LabManifest],
    settings: Settings,
    watcher: Watcher,
    *,
    selected: bool = False,
) -> Report:
    """Run the tests of the manifests and report. ``selected`` says that not all of them were asked for.

    Must be called in the main thread of a process without others. Never raises for what a test or a student
    does; an interruption is reported in ``Report.interrupted``. The few tests that were starved of the processor
    are run once more, one after the other, and that counts.
    """
    report = _grade(kit, manifests, settings, watcher, selected)
    starved = frozenset(test.test.key for test in report.tests if test.outcome and test.outcome.kind == BUSY)
    if not 0 < len(starved) <= MOST_AGAIN or report.interrupted or settings.repeat > 1:
        return report
    again = [manifest.only(starved) for manifest in manifests]
    second = _grade(kit, [one for one in again if one.parts], replace(settings, jobs=1), watcher, selected)
    results = {one.test.key: one for one in (*report.tests, *second.tests)}
    return replace(
        report,
        labs=tuple(tally(manifest, results) for manifest in manifests),
        faults=report.faults + second.faults,
        covered=Counter(report.covered) + Counter(second.covered),
        interrupted=second.interrupted,
    )


def _grade(
    kit: Path, manifests: Sequence[LabManifest], settings: Settings, watcher: Watcher, selected: bool
) -> Report:
    ledger = Ledger(manifests, settings, watcher)
    crew = _Crew(kit, manifests, settings, ledger)
    if any(one.tests and one.directory.is_dir() for one in manifests):
        with crew.interruptible():
            crew.run()
    results = ledger.results()
    return Report(
        seed=settings.seed,
        implementation=settings.workspace.implementation,
        labs=tuple(tally(manifest, results) for manifest in manifests),
        selected=selected,
        faults=tuple(ledger.faults),
        covered=dict(ledger.covered),
        interrupted=crew.interrupted,
    )


@dataclass
class _Worker:
    pid: int
    running: str | None = None  # the item it has begun
    began: bool = False
    ended: bool = False


class _Crew:
    """The workers of one run."""

    def __init__(
        self, kit: Path, manifests: Sequence[LabManifest], settings: Settings, ledger: Ledger
    ) -> None:
        self.interrupted: str | None = None
        self._kit = kit
        self._manifests = manifests
        self._settings = settings
        self._ledger = ledger
        self._turns = Turns()
        self._workers: dict[Connection[Any, Any], _Worker] = {}
        self._patience_ends = float("inf")

    def run(self) -> None:
        """Until every worker has ended."""
        tests = sum(len(manifest.tests) for manifest in self._manifests) * self._settings.repeat
        for _ in range(max(1, min(self._settings.jobs, tests))):
            self._hire()
        while self._workers:
            for pipe in wait(list(self._workers), timeout=1.0):
                assert isinstance(pipe, Connection)
                self._hear(pipe)
            if time.monotonic() > self._patience_ends:
                self._signal(signal.SIGKILL)
        self._turns.close()

    @contextmanager
    def interruptible(self) -> Generator[None]:
        """Pass an interruption on to the workers; a signal that was ignored (nohup) stays ignored."""
        before: dict[signal.Signals, Any] = {}
        for number in STOPPING:
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, self._stop)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        self._interrupt(signal.Signals(number).name)

    def _interrupt(self, name: str) -> None:
        if self.interrupted is None:
            self.interrupted = name
            self._patience_ends = time.monotonic() + TEARDOWN_SECONDS + 5.0
            self._signal(signal.SIGTERM)

    def _signal(self, number: int) -> None:
        for worker in self._workers.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker.pid, number)

    def _hire(self) -> None:
        ends: Any = Pipe(duplex=False)  # of another type on Windows, say its stubs
        reading, writing = ends
        parent = os.getpid()
        # A signal must find the new worker either on the list or not yet forked.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
        pid = os.fork()
        if pid == 0:
            self._be_a_worker(writing, parent)
        writing.close()
        self._workers[reading] = _Worker(pid)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)

    def _be_a_worker(self, writing: Connection[Any, Any], parent: int) -> None:
        def tell(event: Event) -> None:
            writing.send_bytes(to_bytes(event))

        try:
            linux.die_with_parent(signal.SIGTERM)  # not SIGKILL: nodes are to be ended and files removed
            for number in STOPPING:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
            if os.getppid() == parent:
                with contextlib.suppress(BrokenPipeError):
                    work(self._kit, self._manifests, self._settings, self._turns, tell)
        except (
            BaseException
        ):  # whatever it is, the grader must hear of it, and this process must not go on as one
            with contextlib.suppress(OSError):
                tell(Fault(traceback.format_exc()))
        finally:
            os._exit(0)

    def _hear(self, pipe: Connection[Any, Any]) -> None:
        worker = self._workers[pipe]
        try:
            event = from_bytes(pipe.recv_bytes(MOST_BYTES))
        except (EOFError, OSError, ValueError) as error:
            if isinstance(error, ValueError):  # somebody else has written into its pipe
                self._ledger.enter(Fault(f"a process that runs tests was not understood: {error}"))
                os.kill(worker.pid, signal.SIGKILL)
            del self._workers[pipe]
            pipe.close()
            self._gone(worker)
            return
        worker.began = True
        self._ledger.enter(event)
        match event:
            case Started(item):
                worker.running = item
            case Attempted():
                worker.running = None
            case Ended(interrupted):
                worker.ended = True
                if interrupted is not None:
                    self._interrupt(interrupted)
            case _:
                pass

    def _gone(self, worker: _Worker) -> None:
        """Reap a worker; if it did not end by itself, another one goes on with the turns that are left."""
        _, status = os.waitpid(worker.pid, 0)
        if worker.ended or self.interrupted is not None:
            return
        code = os.waitstatus_to_exitcode(status)
        how = linux.signal_name(-code) if code < 0 else f"exit code {code}"
        if worker.running is not None:
            self._ledger.lost(worker.running, _LOST.format(how))
            self._hire()
        else:
            self._ledger.enter(Fault(f"a process that runs tests ended between two of them: {how}"))

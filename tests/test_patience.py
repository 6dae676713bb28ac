"""A busy machine is told from wrong code: patience passes only as fast as the processor was there."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from harness import patience
from harness.failures import TooBusy
from harness.grading.outcome import BUSY, DeadlineExceeded, Status, judge
from harness.patience import MOST, Deadline
from harness.processes.linux import running_below


@pytest.fixture
def busy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that leaves nothing to us."""
    monkeypatch.setattr(patience, "_share", lambda cores: 0.0)  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
    monkeypatch.setattr(patience, "_the_clock", None)
    monkeypatch.setattr(patience, "LONG_WAIT", 0.1)


def test_patience_never_passes_faster_than_real_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does it make up for what a slower rate has withheld when the next one is better."""
    monkeypatch.setattr(patience, "_the_clock", None)
    rates = itertools.cycle([0.2, 1.0])
    monkeypatch.setattr(patience, "_share", lambda cores: next(rates))  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
    monkeypatch.setattr(patience, "_DEAR", 0.0)
    for _ in range(200):
        real, before = time.monotonic(), patience.now()
        time.sleep(0.002)
        after = patience.now()
        assert before <= after <= before + (time.monotonic() - real) + 1e-6


def test_a_wait_that_is_answered_is_no_matter_of_patience(busy: None) -> None:
    event = threading.Event()
    threading.Timer(0.05, event.set).start()
    assert Deadline(20.0).wait(event)


def test_waiting_in_vain_for_want_of_the_processor_is_nobodys_failure(busy: None) -> None:
    before = time.monotonic()
    with pytest.raises(TooBusy, match="too busy"):
        Deadline(0.2).wait(threading.Event())
    assert time.monotonic() - before > 0.2 * MOST * 0.9


def test_a_wait_in_vain_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "STARVED", 1000.0)
    deadline = Deadline(0.1)
    assert not deadline.wait(threading.Event())
    assert deadline.passed()


def test_only_others_take_the_processor_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_text", lambda _: "1.0 1.0 1.0 9/100 1234")
    monkeypatch.setattr(patience, "running_below", lambda pid: 1)  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
    assert patience._share(2) == pytest.approx(2 / 9)  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(patience, "running_below", lambda pid: 9)  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
    assert patience._share(2) == 1.0  # pyright: ignore[reportPrivateUsage]


def test_what_spins_below_a_process_is_counted() -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as child:
        try:
            deadline = time.monotonic() + 30
            while running_below(child.pid) < 1:
                assert time.monotonic() < deadline
            assert running_below(os.getpid()) >= 1
        finally:
            child.kill()


def test_what_a_busy_machine_ends_is_an_error_and_no_failure(tmp_path: Path) -> None:
    starved = DeadlineExceeded("did not finish")
    starved.starved = True
    for error in (TooBusy("this machine was too busy"), starved):
        error.known = "all threads of cs1 slept"
        outcome = judge(error, tmp_path, "call")
        assert (outcome.status, outcome.kind, outcome.witness) == (Status.ERROR, BUSY, error.known)
    assert judge(DeadlineExceeded("did not finish"), tmp_path, "call").status is Status.TIMEOUT


def test_a_signal_may_ask_while_it_interrupts_somebody_who_asks() -> None:
    """The lock in `now` may be held by the very thread that the signal's handler runs in."""
    asked: list[float] = []
    before = signal.signal(signal.SIGVTALRM, lambda number, frame: asked.append(patience.now()))
    signal.setitimer(signal.ITIMER_VIRTUAL, 0.001, 0.001)  # of this process's own computing
    try:
        while len(asked) < 100:
            patience.now()
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
    assert asked == sorted(asked)

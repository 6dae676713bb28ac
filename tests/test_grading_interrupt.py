"""Ctrl-C: the grader stops within a second, with nodes of two tests running, and leaves nothing. A selftest ends too."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.failures import TooBusy
from harness.patience import Deadline
from tests.leftovers import left
from tests.test_grading_fake import ordinary_signals

KIT = Path(__file__).resolve().parent.parent
LONG = ("test_table_stays_bounded", "test_a_thousand_connections")  # neither is over before it is interrupted
WITHIN = 1.0  # seconds of patience: real ones, on a machine that has time for us
STARTED = 60.0


def until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """As long as so many seconds of patience; a machine that is too busy says nothing about the grader."""
    deadline = Deadline(seconds)
    while not condition():
        try:
            assert not deadline.passed(), what
        except TooBusy as error:
            pytest.skip(str(error))
        time.sleep(0.005)


@pytest.mark.timeout(600)
def test_ctrl_c_stops_two_tests_within_a_second_and_leaves_nothing(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    only = [word for name in LONG for word in ("--only", name)]
    command = [sys.executable, "-I", str(KIT / "grader.py"), "lab01", "--solution", "--jobs", "2", *only]
    environment = {**os.environ, "TMPDIR": str(scratch)}
    # A group of its own, all of which gets the signal, as from a terminal.
    with subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=ordinary_signals,
    ) as child:
        try:
            until(lambda: len(list(scratch.rglob("output.txt"))) >= len(LONG), STARTED, "nodes of both tests")
            assert child.poll() is None, "both tests were over before they could be interrupted"
            os.killpg(child.pid, signal.SIGINT)
            until(lambda: child.poll() is not None, WITHIN, f"it was still there after {WITHIN:g} s")
        finally:
            child.kill()
        printed = child.communicate()[0].decode("utf-8", "replace")
    assert child.returncode == 2, printed
    assert "interrupted by SIGINT" in printed and "Traceback" not in printed, printed
    assert not left(scratch)


SLOW = """
import time
from pathlib import Path

def test_slow():
    here = Path(__file__).parent
    try:
        (here / "begun").touch()
        time.sleep(50)
    finally:
        (here / "tidied").touch()
"""


def ignoring_ctrl_c() -> None:
    """As a script's shell starts what it runs in the background."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("started", [ordinary_signals, ignoring_ctrl_c])
def test_a_selftest_that_is_killed_tidies_up_and_ends(tmp_path: Path, started: Callable[[], None]) -> None:
    (tmp_path / "test_slow.py").write_text(SLOW)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    command = [
        sys.executable,
        "-I",
        str(KIT / "grader.py"),
        "selftest",
        "--",
        str(tmp_path),
        f"--rootdir={tmp_path}",
    ]
    with subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=started,
    ) as child:
        try:
            until((tmp_path / "begun").exists, STARTED, "the test")
            child.terminate()
            until(lambda: child.poll() is not None, 20.0, "the selftest goes on")
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
    assert child.returncode == 2
    assert (tmp_path / "tidied").exists()

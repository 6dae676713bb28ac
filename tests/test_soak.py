"""Counting runs of the reference: what is a false failure, and what the page keeps from sitting to sitting."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.patience import Deadline
from harness.workspace import LABS
from tests import soak


def report(status: str, message: str = "", failures: int = 0) -> dict[str, object]:
    test = {
        "id": "test_names",
        "attempts": 5,
        "seconds": 2.0,
        "status": status,
        "message": message,
        "failures": failures,
        "replay": "python3 grader.py lab02",
    }
    return {"labs": [{"lab": "lab02", "tests": [test]}]}


def test_a_failure_is_false_and_a_starved_wait_is_not() -> None:
    counts: dict[str, soak.Count] = {}
    soak.enter(report("passed"), counts, False)
    soak.enter(report("failed", "the append guarantee does not hold", 2), counts, True)
    soak.enter(report("error", f"{soak.BUSY}: 3 s of 20", 1), counts, True)
    (count,) = counts.values()
    assert (count.runs, count.loaded, count.false, count.busy) == (15, 10, 2, 1)
    assert count.messages == ["the append guarantee does not hold\npython3 grader.py lab02"]


def test_the_page_adds_up_and_names_every_graded_test(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(soak, "RECORD", tmp_path / "soak.md")
    soak.record(report("passed"), False)
    soak.record(report("failed", "no", 1), True)
    count = soak.recorded()["lab02 test_names"]
    assert (count.runs, count.loaded, count.false, count.busy) == (10, 5, 1, 0)
    names = soak.recorded()
    assert {name.split()[0] for name in names} == set(LABS)
    assert sum(one.runs for one in names.values()) == 10


def test_all_that_was_said_of_a_false_failure_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "kit" / "kept.txt"
    monkeypatch.setattr(soak, "KEPT", kept)
    outcomes = iter([report("passed"), report("failed", "no progress", 1), report("passed")])

    def grader(command: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        outcome = next(outcomes)
        Path(command[command.index("--json") + 1]).write_text(json.dumps(outcome), encoding="utf-8")
        return subprocess.CompletedProcess(command, 0, f"witness of {outcome}\n".encode())

    monkeypatch.setattr(soak.subprocess, "run", grader)
    said = argparse.Namespace(runs=3 * soak.ROUND, jobs=0, only="", load=True, record=False)
    soak.soak("lab02", said, {})
    assert kept.read_text(encoding="utf-8") == f"witness of {report('failed', 'no progress', 1)}\n"


def test_the_load_ends_with_the_process_that_made_it() -> None:
    program = "import os; from tests import soak; print(soak._hog().pid, flush=True); os.kill(os.getpid(), 9)"
    told = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=soak.KIT, check=False)
    hog = Path("/proc", told.stdout.decode().strip())
    deadline = Deadline(20.0)
    while hog.exists() and hog.joinpath("stat").read_text().rpartition(")")[2].split()[0] != "Z":
        assert not deadline.passed()
        time.sleep(0.01)

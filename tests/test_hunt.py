"""`hunt` finds, shrinks and stores a schedule that breaks a wrong lab 4, and `replay` runs it again."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness.explore import Deed, Schedule, Strike
from harness.explore.points import Message
from tests.mutants.mutant import KIT, MUTANTS, apply, read_mutant, reference

# The request and all that repeat it are lost: whoever believes that silence is success acknowledges what nobody has.
LOST = Strike(Deed.LOSS, Message("request", "append", "c1", "primary"), times=8)


def grader(*words: str | Path) -> tuple[int, str]:
    """Exit code and all that was printed."""
    command = [sys.executable, "-I", str(KIT / "grader.py"), *map(str, words)]
    done = subprocess.run(command, cwd=KIT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300)
    printed = done.stdout.decode()
    assert "Traceback" not in printed, printed
    return done.returncode, " ".join(printed.split())


@pytest.fixture(scope="module")
def wrong(tmp_path_factory: pytest.TempPathFactory) -> Path:
    solutions = reference(tmp_path_factory.mktemp("wrong"))
    apply(read_mutant(MUTANTS / "lab04" / "silence_is_success.toml"), solutions)
    return solutions


def stored(path: Path, *strikes: Strike) -> Path:
    path.write_text(Schedule(1, strikes).to_json(), encoding="utf-8")
    return path


@pytest.mark.timeout(600)
def test_a_wrong_client_is_hunted_down(wrong: Path, tmp_path: Path) -> None:
    kept = tmp_path / "found.json"
    code, printed = grader(
        "hunt", "lab04", "--submission", wrong, "--seed", "3", "--minutes", "5", "--out", kept
    )
    assert code == 1, printed
    assert "A schedule of one fault failed; looking for a smaller one." in printed
    assert f"replay python3 grader.py replay {kept} --submission {wrong}" in printed
    (strike,) = Schedule.from_json(kept.read_bytes()).strikes
    assert f"failed {strike}" in printed


def test_a_schedule_is_replayed(wrong: Path, tmp_path: Path) -> None:
    schedule = stored(tmp_path / "lost.json", LOST)
    code, printed = grader("replay", schedule, "--submission", wrong)
    assert code == 1, printed
    assert f"failed {LOST}" in printed
    assert "the append guarantee does not hold" in printed
    code, printed = grader("replay", schedule, "--solution")
    assert code == 0, printed
    assert "It passed, 3 times." in printed


def test_the_reference_is_hunted_in_vain() -> None:
    code, printed = grader("hunt", "lab04", "--solution", "--seed", "1", "--minutes", "0.05")
    assert code == 0, printed
    assert "No schedule failed." in printed


def test_a_schedule_that_asks_for_too_much_is_said_to(tmp_path: Path) -> None:
    """It passes all the same where what is destroyed is not needed: here it is never met."""
    never = replace(LOST.point, count=1000)
    strikes = [
        Strike(Deed.CRASH, never, "primary"),
        Strike(Deed.LOSS, never),
        Strike(Deed.LOSS, replace(never, count=1001)),
    ]
    code, printed = grader("replay", stored(tmp_path / "much.json", *strikes), "--solution")
    assert code == 0, printed
    assert "It destroys more than GFS promises to survive" in printed
    assert "one will not happen" in printed


@pytest.mark.parametrize("text", ["{}", "\xff", json.dumps({"format": 1, "seed": 1, "strikes": [{}]})])
def test_what_is_no_schedule_is_said_in_a_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "no.json"
    path.write_text(text, encoding="latin-1")
    code, printed = grader("replay", path, "--solution")
    assert code == 2
    assert printed.startswith(f"grader: {path}: this is no schedule: ")


def test_only_a_whole_system_is_hunted() -> None:
    code, printed = grader("hunt", "lab02", "--solution")
    assert code == 2
    assert "only lab04 can be hunted: lab02 is no whole system" in printed

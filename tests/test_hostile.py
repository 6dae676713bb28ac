"""Whatever a student hands in: an honest score, a grader that finishes, nothing left running or lying about.

The cases are in `tests/hostile/`, what becomes of them in its `expected.toml`. Three of them show what only a sandbox
stops (docs/instructor.md): a program may kill what belongs to the same user.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness.patience import longest
from tests.leftovers import left
from tests.soak import BUSY

KIT = Path(__file__).resolve().parent.parent
CASES = Path(__file__).parent / "hostile"
ONE_TEST = "test_lost_reply_runs_once"
AT_ONCE = 3
toml: Any = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
EXPECTED: dict[str, dict[str, Any]] = toml.loads((CASES / "expected.toml").read_text(encoding="utf-8"))
WAITING = [case for case, expected in EXPECTED.items() if expected.get("waits")]
ORDER = [*(case for case in EXPECTED if case not in WAITING), *WAITING]
LONGEST = 600  # real seconds of a grading, on a machine that is very busy
AGAIN = 3


@dataclass(frozen=True)
class Run:
    """`status` is that of the one graded test, or "no results"."""

    code: int
    printed: str
    status: str
    message: str
    left: str  # what the grader left behind, in words


def hand_in(directory: Path) -> Path:
    """A copy of the reference, to be spoilt."""
    submission = directory / "submission"
    shutil.copytree(KIT / "solutions" / "01_rpc", submission, ignore=shutil.ignore_patterns("__pycache__"))
    return submission


def spoil(submission: Path, case: str) -> None:
    """Lay a directory over it, or put a file at the top of the server, after what must stand first."""
    overlay = CASES / case
    if overlay.is_dir():
        shutil.copytree(overlay, submission, dirs_exist_ok=True)
        return
    path = submission / "rpc" / "server.py"
    text = path.read_text()
    marker = "from __future__ import annotations\n"
    assert marker in text
    path.write_text(text.replace(marker, marker + (CASES / f"{case}.py").read_text(), 1))


def grade(submission: Path, directory: Path, *arguments: str) -> Run:
    """Grade one test of lab 1, and look for what is left: processes, files."""
    scratch, results = directory / "scratch", directory / "results.json"
    scratch.mkdir()
    before = files(submission)
    command = [sys.executable, "-I", str(KIT / "grader.py"), "lab01", "--submission", str(submission)]
    command += ["--only", ONE_TEST, "--json", str(results), *arguments]
    done = subprocess.run(
        command, env={**os.environ, "TMPDIR": str(scratch)}, capture_output=True, text=True, timeout=LONGEST
    )
    status, message = "no results", ""
    if results.exists():
        tests: list[dict[str, Any]] = json.loads(results.read_text())["labs"][0]["tests"]
        status, message = next((one["status"], one["message"]) for one in tests if one["id"] == ONE_TEST)
    changed = "" if files(submission) == before else "it wrote into the submission"
    return Run(done.returncode, done.stdout + done.stderr, status, message, left(scratch) or changed)


def files(submission: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in submission.rglob("*")}


def run_case(case: str, directory: Path) -> Run:
    """Once more, some times, when the machine was too busy to say."""
    for attempt in range(AGAIN):
        place = directory / str(attempt)
        place.mkdir()
        submission = hand_in(place)
        spoil(submission, case)
        run = grade(submission, place)
        if BUSY not in run.message or run.left:
            break
    return run


def run_alone(case: str, directory: Path, others: list[Future[Run]]) -> Run:
    wait(others)
    return run_case(case, directory)


@pytest.fixture(scope="module")
def runs(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[Run]]]:
    """A grading of every case that was selected, under way."""
    calls = [getattr(item, "callspec", None) for item in request.session.items]
    cases: list[str] = [call.params["case"] for call in calls if call is not None and "case" in call.params]
    with ThreadPoolExecutor(AT_ONCE) as pool, ThreadPoolExecutor(1) as alone:
        together = [case for case in cases if case not in WAITING]
        found = {case: pool.submit(run_case, case, tmp_path_factory.mktemp("case")) for case in together}
        others = list(found.values())
        for case in cases:
            if case in WAITING:
                found[case] = alone.submit(run_alone, case, tmp_path_factory.mktemp("case"), others)
        yield found
        pool.shutdown(cancel_futures=True)
        alone.shutdown(cancel_futures=True)


def test_the_table_and_the_cases_agree() -> None:
    found = {path.stem for path in CASES.iterdir() if path.name not in ("expected.toml", "__pycache__")}
    assert found == set(EXPECTED)
    assert len(found) >= 25


@pytest.mark.timeout(AGAIN * LONGEST)
@pytest.mark.parametrize("case", ORDER)
def test_a_hostile_submission(case: str, runs: dict[str, Future[Run]]) -> None:
    run, expected = runs[case].result(), EXPECTED[case]
    if BUSY in run.message and not run.left:
        pytest.skip(f"{AGAIN} times {BUSY} to tell slow from wrong")
    assert run.status == expected["status"], run.printed
    assert expected.get("says", "") in run.message, run.message
    assert not run.left
    assert run.code == {"passed": 0, "failed": 1, "error": 2, "no results": -9}[run.status], run.printed
    if run.status in ("passed", "failed"):
        assert "Traceback" not in run.printed and "harness/processes" not in run.printed, run.printed


def test_a_link_out_of_the_submission_is_refused(tmp_path: Path) -> None:
    submission = hand_in(tmp_path)
    (submission / "rpc" / "server.py").unlink()
    (submission / "rpc" / "server.py").symlink_to(KIT / "solutions" / "01_rpc" / "rpc" / "server.py")
    run = grade(submission, tmp_path)
    assert (run.code, run.status) == (2, "no results"), run.printed
    assert "leads out of the submission" in run.printed


def test_a_package_without_init_is_missed_by_name(tmp_path: Path) -> None:
    submission = hand_in(tmp_path)
    (submission / "rpc" / "__init__.py").unlink()
    run = grade(submission, tmp_path)
    assert run.code in (1, 2)
    assert "__init__.py" in run.printed


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["lab9"], "lab01"),
        (["lab01", "--submission", "/no/such/directory"], "/no/such/directory"),
        (["lab01", "--submission", str(KIT / "README.md")], "README.md"),
        (["lab01", "--only", "test_that_is_not_there"], "test_that_is_not_there"),
        (["lab01", "--json", "/no/such/directory/x.json"], "/no/such/directory"),
    ],
)
def test_usage_errors_are_one_sentence(arguments: list[str], says: str) -> None:
    done = subprocess.run(
        [sys.executable, "-I", str(KIT / "grader.py"), *arguments],
        capture_output=True,
        text=True,
        timeout=longest(60),
    )
    printed = done.stdout + done.stderr
    assert done.returncode == 2, printed
    assert says in printed
    assert "Traceback" not in printed

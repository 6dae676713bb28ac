"""Whatever a student hands in: one clear sentence, the rest graded, nothing left running or lying about."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

KIT = Path(__file__).resolve().parent.parent
ONE_TEST = "test_lost_reply_runs_once"


@dataclass(frozen=True)
class Run:
    code: int
    printed: str
    test: dict[str, Any]


def hand_in(tmp_path: Path) -> Path:
    """A copy of the reference, to be spoilt."""
    submission = tmp_path / "submission"
    shutil.copytree(KIT / "solutions" / "01_rpc", submission, ignore=shutil.ignore_patterns("__pycache__"))
    return submission


def grade(submission: Path, tmp_path: Path, *arguments: str) -> Run:
    """Grade one test of lab 1, and see to it that nothing is left: no process, no file."""
    scratch, results = tmp_path / "scratch", tmp_path / "results.json"
    scratch.mkdir()
    before = {path: path.stat().st_mtime_ns for path in submission.rglob("*")}
    command = [sys.executable, "-I", str(KIT / "grader.py"), "lab01", "--submission", str(submission)]
    command += ["--only", ONE_TEST, "--json", str(results), *arguments]
    done = subprocess.run(
        command, env={**os.environ, "TMPDIR": str(scratch)}, capture_output=True, text=True, timeout=100
    )
    printed = done.stdout + done.stderr
    assert "Traceback" not in printed and "harness/processes" not in printed, printed
    assert list(scratch.iterdir()) == [], "the grader left files behind"
    assert {path: path.stat().st_mtime_ns for path in submission.rglob("*")} == before, (
        "it wrote into the submission"
    )
    assert not processes_about(str(scratch)), "a process is left"
    tests: list[dict[str, Any]] = (
        json.loads(results.read_text())["labs"][0]["tests"] if results.exists() else [{}]
    )
    return Run(done.returncode, printed, next((test for test in tests if test.get("id") == ONE_TEST), {}))


def processes_about(text: str) -> list[str]:
    found: list[str] = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            line = (path / "cmdline").read_bytes() + (path / "cwd").readlink().as_posix().encode()
        except OSError:
            continue
        if text.encode() in line:
            found.append(line.decode("utf-8", "replace"))
    return found


def put_first(submission: Path, file: str, code: str) -> None:
    """Code that runs when the module is imported, before the rest."""
    path = submission / "rpc" / file
    text = path.read_text()
    marker = "from __future__ import annotations\n"
    path.write_text(text.replace(marker, marker + code, 1) if marker in text else code + text)


@pytest.mark.parametrize(
    ("file", "code", "says"),
    [
        ("server.py", "def broken(:\n", "SyntaxError"),
        ("server.py", "import no_such_module\n", "No module named 'no_such_module'"),
        ("server.py", "raise ValueError('mine')\n", "ValueError: mine"),
        ("server.py", "import sys\nsys.exit(0)\n", "SystemExit"),
        ("server.py", "import os\nos._exit(0)\n", "ended by itself with exit code 0"),
        ("server.py", "import os\nos.kill(os.getpid(), 9)\n", "died of SIGKILL"),
        ("server.py", "import solutions\n", "solutions is not for this lab's code to import"),
        ("server.py", "import chunkserver\n", "chunkserver is not for this lab's code to import"),
        ("server.py", "while True:\n    pass\n", "did not start within"),
    ],
)
def test_what_breaks_at_import_is_said_in_a_sentence(tmp_path: Path, file: str, code: str, says: str) -> None:
    submission = hand_in(tmp_path)
    put_first(submission, file, code)
    run = grade(submission, tmp_path)
    assert run.code == 1, run.printed
    assert run.test["status"] == "failed"
    assert says in run.test["message"], run.test["message"]


@pytest.mark.parametrize(
    "code",
    [
        "import sys\nfor _ in range(2000):\n    print('flood ' * 200)\n    print('x' * 1000, file=sys.stderr)\n",
        "import os\nfor _ in range(300):\n    os.write(1, b'y' * 10000)\n",
        "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n",
        "import subprocess\nsubprocess.Popen(['sleep', '1000'], start_new_session=True)\n",
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        time.sleep(1000)\n    os._exit(0)\n",
    ],
    ids=["prints", "writes", "ignores signals", "starts a program", "leaves a daemon"],
)
def test_bad_manners_cost_nothing_and_leave_nothing(tmp_path: Path, code: str) -> None:
    submission = hand_in(tmp_path)
    put_first(submission, "server.py", code)
    run = grade(submission, tmp_path)
    assert run.test["status"] == "passed", run.printed


def test_files_named_like_standard_modules_shadow_nothing(tmp_path: Path) -> None:
    submission = hand_in(tmp_path)
    for name in ("socket.py", "json.py", "conftest.py", "sitecustomize.py", "labkit.py", "harness.py"):
        (submission / name).write_text("raise RuntimeError('never to be imported')\n")
        (submission / "rpc" / name).write_text("raise RuntimeError('never to be imported')\n")
    (submission / "pytest.ini").write_text("[pytest]\naddopts = --nonsense\n")
    assert grade(submission, tmp_path).test["status"] == "passed"


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
        [sys.executable, "-I", str(KIT / "grader.py"), *arguments], capture_output=True, text=True, timeout=60
    )
    printed = done.stdout + done.stderr
    assert done.returncode == 2, printed
    assert says in printed
    assert "Traceback" not in printed

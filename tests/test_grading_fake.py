"""A kit in miniature for the tests of the grader: graded tests of every kind of outcome, no real labs.

Also the simplest claims about it: it can be graded, and its reference gets full points.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

from harness.workspace import LABS

REPOSITORY = Path(__file__).resolve().parent.parent
_MAIN = (
    "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]); "
    "from harness.grading.cli import Kit, main; sys.exit(main(sys.argv[3:], Kit(Path(sys.argv[2]), '')))"
)
_HEAD = "import os, signal, time\nimport pytest\nfrom harness.grading import *\n"


def ordinary_signals() -> None:
    """Whoever started these tests in the background may have had signals ignored, which is inherited."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


class FakeKit:
    """A directory with labs/ and solutions/, and the grader pointed at it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for lab in LABS.values():
            for parent in ("labs", "solutions"):
                self.package(root / parent / lab.root, lab.package)

    @staticmethod
    def package(root: Path, name: str) -> Path:
        directory = root / name
        directory.mkdir(parents=True)
        (directory / "__init__.py").write_text("")
        return directory

    def lab(self, name: str, parts: dict[str, dict[str, int]], code: str, file: str = "test_all.py") -> None:
        """Write a manifest and one file of graded tests."""
        directory = self.root / "labs" / LABS[name].root
        lines = [f'lab = "{name}"', f'title = "Title of {name}"']
        for part, tests in parts.items():
            rows = ", ".join(f'{{name = "{test}", points = {points}}}' for test, points in tests.items())
            lines += ["[[parts]]", f'part = "{part}"', f'title = "Part {part}"']
            lines += [f"points = {sum(tests.values())}", f"tests = [{rows}]"]
        (directory / "lab.toml").write_text("\n".join(lines))
        self.tests(name, code, file)

    def tests(self, name: str, code: str, file: str = "test_all.py") -> None:
        directory = self.root / "labs" / LABS[name].root / "tests"
        directory.mkdir(exist_ok=True)
        (directory / file).write_text(_HEAD + textwrap.dedent(code))

    def command(self, *arguments: object) -> list[str]:
        return [sys.executable, "-c", _MAIN, str(REPOSITORY), str(self.root), *map(str, arguments)]

    def run(
        self, *arguments: object, cwd: Path | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        # The machine's own choice about bytecode must not hide that the grader writes some.
        inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        return subprocess.run(
            self.command(*arguments),
            capture_output=True,
            text=True,
            check=False,
            cwd=cwd or self.root,
            env={**inherited, "COLUMNS": "100", **environment},
            preexec_fn=ordinary_signals,
        )

    def graded(self, *arguments: object, **environment: str) -> dict[str, Any]:
        """The JSON report of a run, with the process's result as ``run``."""
        file = self.root / "report.json"
        run = self.run(*arguments, "--json", file, **environment)
        assert file.exists(), run.stderr
        return {**json.loads(file.read_text()), "run": run}


def results_of(report: dict[str, Any]) -> dict[str, Any]:
    return {test["id"]: test for lab in report["labs"] for test in lab["tests"]}


def test_full_points_exit_with_zero_and_the_seed_is_said(tmp_path: Path) -> None:
    kit = FakeKit(tmp_path)
    kit.lab("lab01", {"A": {"test_yes": 5}}, "@claim('Yes it is')\ndef test_yes(workspace): pass")

    report = kit.graded("lab01", "--seed", 41)

    assert report["run"].returncode == 0, report["run"].stderr
    assert (report["score"], report["max_score"], report["seed"]) == (5, 5, 41)
    assert "seed 41" in report["run"].stdout and "5 / 5" in report["run"].stdout


def test_the_json_has_exactly_the_documented_shape(tmp_path: Path) -> None:
    kit = FakeKit(tmp_path)
    kit.lab("lab04", {"A": {"test_yes": 5}}, "@claim('Yes it is')\ndef test_yes(): pass")

    report = kit.graded("lab04", "--solution", "--seed", 1)

    report.pop("run")
    report["labs"][0]["tests"][0].pop("seconds")
    assert report == {
        "version": 1,
        "seed": 1,
        "implementation": "solution",
        "labs": [
            {
                "lab": "lab04",
                "title": "Title of lab04",
                "score": 5,
                "max_score": 5,
                "parts": [{"part": "A", "title": "Part A", "score": 5, "max_score": 5}],
                "tests": [
                    {
                        "id": "test_yes",
                        "part": "A",
                        "title": "Yes it is",
                        "status": "passed",
                        "score": 5,
                        "max_score": 5,
                        "attempts": 1,
                        "failures": 0,
                        "message": "",
                        "replay": "python3 grader.py lab04 --solution --only test_yes --seed 1",
                    }
                ],
            }
        ],
        "score": 5,
        "max_score": 5,
        "faults": [],
        "shortages": [],
    }

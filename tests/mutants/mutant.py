"""Wrong solutions: one misconception each, as a small change to the reference.

Each file `tests/mutants/<lab>/<slug>.toml`:

    title = "The reply is stored under the method instead of the XID"
    lab = "lab01"
    family = "duplicate table"                    # optional: the idea it has in common with others whose failures look alike
    caught_by = ["test_lost_reply_runs_once"]     # graded tests that must fail, each of them
    says = "more than once"                       # optional: words that each of their messages must hold
    status = "failed"                             # optional: or "timeout"
    tries = 3                                     # optional: gradings of which one has to catch it, if threads decide
    [[change]]                                    # one or more; `old` stands in the file exactly once
    file = "01_rpc/rpc/server.py"                 # below solutions/
    old = '''…'''
    new = '''…'''

A mutated solution is graded as a submission is, in a process of its own.
"""

from __future__ import annotations

import ast
import importlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.soak import BUSY

KIT = Path(__file__).resolve().parent.parent.parent
MUTANTS = Path(__file__).parent
KEYS = {"title", "lab", "family", "caught_by", "says", "status", "tries", "change"}
CHANGE_KEYS = {"file", "old", "new"}
LONGEST = 7200  # seconds: a wrong solution may keep every test of a whole lab until its deadline
SEED = "1"
toml: Any = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")


class Stale(Exception):
    """A mutant that says nothing about the present kit; the text says why."""


@dataclass(frozen=True)
class Change:
    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Mutant:
    title: str
    lab: str
    caught_by: tuple[str, ...]
    changes: tuple[Change, ...]
    says: str = ""
    family: str = ""
    status: str = "failed"
    tries: int = 1


@dataclass(frozen=True)
class Graded:
    """What the grader wrote: its results by test name, and all that it printed."""

    tests: dict[str, dict[str, Any]]
    printed: str

    @property
    def too_busy(self) -> bool:
        """Whether some test could not be judged for want of the processor."""
        return any(test["status"] == "error" and BUSY in test["message"] for test in self.tests.values())


def read_mutant(path: Path) -> Mutant:
    data: dict[str, Any] = toml.loads(path.read_text(encoding="utf-8"))
    changes = data.get("change", [])
    unknown = (set(data) - KEYS) | {key for change in changes for key in set(change) - CHANGE_KEYS}
    if unknown:
        raise Stale(f"{path}: unknown keys {sorted(unknown)}; known are {sorted(KEYS | CHANGE_KEYS)}")
    if data["lab"] != path.parent.name:
        raise Stale(f"{path} belongs to {data['lab']}: move it there")
    if not data["caught_by"] or not changes:
        raise Stale(f"{path} needs a change, and a test that catches it")
    return Mutant(
        title=data["title"],
        lab=data["lab"],
        caught_by=tuple(data["caught_by"]),
        changes=tuple(Change(**change) for change in changes),
        says=data.get("says", ""),
        family=data.get("family", path.stem),
        status=data.get("status", "failed"),
        tries=data.get("tries", 1),
    )


def apply(mutant: Mutant, solutions: Path) -> None:
    """Change the copy in `solutions`. Stale when a text is not there exactly once, or the result is no Python."""
    for change in mutant.changes:
        replace(change, solutions)
    for change in mutant.changes:
        ast.parse((solutions / change.file).read_text(encoding="utf-8"), change.file)


def replace(change: Change, solutions: Path) -> None:
    """Stale when the text is not there exactly once."""
    path = solutions / change.file
    if not path.is_file():
        raise Stale(f"there is no solutions/{change.file}")
    text = path.read_text(encoding="utf-8")
    if text.count(change.old) != 1:
        raise Stale(f"this stands {text.count(change.old)} times in {change.file}, not once:\n{change.old}")
    path.write_text(text.replace(change.old, change.new), encoding="utf-8")


def reference(directory: Path) -> Path:
    """A copy of the reference below `directory`, to be changed."""
    solutions = directory / "solutions"
    shutil.copytree(KIT / "solutions", solutions, ignore=shutil.ignore_patterns("__pycache__"))
    return solutions


def grade(
    lab: str, submission: Path, only: Sequence[str], results: Path, jobs: int = 2, repeat: int = 1
) -> Graded:
    """Once more if the machine was too busy to tell."""
    graded = _grade(lab, submission, only, results, jobs, repeat)
    return _grade(lab, submission, only, results, jobs, repeat) if graded.too_busy else graded


def _grade(lab: str, submission: Path, only: Sequence[str], results: Path, jobs: int, repeat: int) -> Graded:
    command = [sys.executable, "-I", str(KIT / "grader.py"), lab, "--submission", str(submission)]
    command += [word for name in only for word in ("--only", name)] + ["--json", str(results), "-v"]
    command += ["--jobs", str(jobs), "--seed", SEED]  # whether a mutant is caught must not hang on a seed
    command += ["--repeat", str(repeat)]
    done = subprocess.run(command, cwd=KIT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=LONGEST)
    printed = done.stdout.decode("utf-8", "replace")
    assert results.is_file(), f"the grader wrote no results (exit code {done.returncode}):\n{printed}"
    (graded,) = json.loads(results.read_text(encoding="utf-8"))["labs"]
    return Graded({test["id"]: test for test in graded["tests"]}, printed)


def grade_mutant(
    path: Path, directory: Path, *, whole: bool = False, jobs: int = 2, repeat: int = 1
) -> Graded:
    """Grade it with the tests that must catch it, or with the `whole` lab; until it is caught, or has had its tries.
    `repeat`: run each test so often, and every run has to catch it."""
    mutant = read_mutant(path)
    solutions = reference(directory)
    apply(mutant, solutions)
    only = () if whole else mutant.caught_by
    for _ in range(mutant.tries):
        graded = grade(mutant.lab, solutions, only, directory / "results.json", jobs, repeat)
        if not complaint(mutant, graded):
            break
    return graded


def mutants(labs: Sequence[str] = ()) -> list[Path]:
    """The files of all mutants, or of those of some labs."""
    return [path for path in sorted(MUTANTS.glob("lab*/*.toml")) if not labs or path.parent.name in labs]


def sample(paths: Iterable[Path]) -> list[Path]:
    """Few mutants that still give every graded test one it must catch: always the same, the most useful first."""
    left = {path: set(read_mutant(path).caught_by) for path in paths}
    chosen: list[Path] = []
    while left:
        best = max(sorted(left), key=lambda path: len(left[path]))
        caught = left.pop(best)
        if not caught:
            break
        chosen.append(best)
        left = {path: tests - caught for path, tests in left.items()}
    return sorted(chosen)


def complaint(mutant: Mutant, graded: Graded) -> str:
    """What is wrong with how a mutant was caught; empty when each test that must catch it did, in fitting words."""
    for name in mutant.caught_by:
        test = graded.tests[name]
        if test["status"] != mutant.status:
            return f"{name} did not catch {mutant.title!r} but {test['status']}"
        if mutant.tries == 1 and test["failures"] < test["attempts"]:
            return f"{name} caught {mutant.title!r} only {test['failures']} times of {test['attempts']}"
        if mutant.says not in test["message"]:
            return f"{name} caught {mutant.title!r} without saying {mutant.says!r}"
    return ""

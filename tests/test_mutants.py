"""Wrong solutions that the graded tests must catch: the tests are themselves tested.

Each file `tests/mutants/<lab>/<slug>.toml` is one misconception, written as a small change to the reference:

    title = "The reply is stored under the method instead of the XID"
    lab = "lab01"
    caught_by = ["test_lost_reply_runs_once"]     # graded tests that must fail, each of them
    says = "more than once"                       # optional: words that each of their messages must hold
    status = "failed"                             # optional: or "timeout"
    [[change]]                                    # one or more; `old` stands in the file exactly once
    file = "01_rpc/rpc/server.py"                 # below solutions/
    old = '''…'''
    new = '''…'''

The mutated solutions are graded as a submission is, in a process of their own. Next to the mutants stand two
checks that give them their meaning: the reference passes every graded test, and every graded test has a mutant.
"""

from __future__ import annotations

import ast
import importlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness.grading.manifest import load
from harness.workspace import LABS

KIT = Path(__file__).resolve().parent.parent
MUTANTS = Path(__file__).parent / "mutants"
KEYS = {"title", "lab", "caught_by", "says", "status", "change"}
CHANGE_KEYS = {"file", "old", "new"}
AT_ONCE = 2  # gradings side by side: their nodes mostly wait for each other
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
    status: str = "failed"


@dataclass(frozen=True)
class Graded:
    """What the grader wrote: its results by test name, and all that it printed."""

    tests: dict[str, dict[str, Any]]
    printed: str


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
        status=data.get("status", "failed"),
    )


def apply(mutant: Mutant, solutions: Path) -> None:
    """Change the copy in `solutions`. Stale when a text is not there exactly once, or the result is no Python."""
    for change in mutant.changes:
        path = solutions / change.file
        if not path.is_file():
            raise Stale(f"there is no solutions/{change.file}")
        text = path.read_text(encoding="utf-8")
        if text.count(change.old) != 1:
            raise Stale(
                f"this stands {text.count(change.old)} times in {change.file}, not once:\n{change.old}"
            )
        path.write_text(text.replace(change.old, change.new), encoding="utf-8")
    for change in mutant.changes:
        ast.parse((solutions / change.file).read_text(encoding="utf-8"), change.file)


def grade(lab: str, submission: Path, only: tuple[str, ...], results: Path) -> Graded:
    command = [sys.executable, "-I", str(KIT / "grader.py"), lab, "--submission", str(submission)]
    command += [word for name in only for word in ("--only", name)] + ["--json", str(results), "-v"]
    done = subprocess.run(command, cwd=KIT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300)
    printed = done.stdout.decode("utf-8", "replace")
    assert results.is_file(), f"the grader wrote no results (exit code {done.returncode}):\n{printed}"
    (graded,) = json.loads(results.read_text(encoding="utf-8"))["labs"]
    return Graded({test["id"]: test for test in graded["tests"]}, printed)


def grade_mutant(path: Path, directory: Path) -> Graded:
    mutant = read_mutant(path)
    solutions = directory / "solutions"
    shutil.copytree(KIT / "solutions", solutions, ignore=shutil.ignore_patterns("__pycache__"))
    apply(mutant, solutions)
    return grade(mutant.lab, solutions, mutant.caught_by, directory / "results.json")


@pytest.fixture(scope="module")
def gradings(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[Path, Future[Graded]]]:
    """A grading of every mutant that this run has selected, under way."""
    calls = [getattr(item, "callspec", None) for item in request.session.items]
    paths: list[Path] = [call.params["path"] for call in calls if call is not None and "path" in call.params]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {
            path: pool.submit(grade_mutant, path, tmp_path_factory.mktemp(path.stem))
            for path in paths
            if isinstance(path, Path) and path.is_relative_to(MUTANTS)
        }
        pool.shutdown(cancel_futures=True)


def mutant_files() -> list[Any]:
    found = sorted(MUTANTS.glob("*/*.toml"))
    return [pytest.param(path, id=f"{path.parent.name}/{path.stem}") for path in found]


@pytest.mark.parametrize("path", mutant_files())
def test_a_mutant_is_caught(path: Path, gradings: dict[Path, Future[Graded]]) -> None:
    mutant = read_mutant(path)
    graded = gradings[path].result()
    for name in mutant.caught_by:
        test = graded.tests[name]
        assert test["status"] == mutant.status, (
            f"{name} did not catch {mutant.title!r} but {test['status']}\n{graded.printed}"
        )
        assert mutant.says in test["message"], (
            f"{name} caught {mutant.title!r} without saying {mutant.says!r}\n{graded.printed}"
        )


@pytest.mark.parametrize("lab", LABS)
def test_the_reference_passes_every_graded_test(lab: str, tmp_path: Path) -> None:
    if not load(KIT, lab).tests:
        pytest.skip(f"{lab} has no graded tests yet")
    graded = grade(lab, KIT / "solutions", (), tmp_path / "results.json")
    wrong = [name for name, test in graded.tests.items() if test["status"] != "passed"]
    assert not wrong, graded.printed


@pytest.mark.parametrize("lab", LABS)
def test_every_graded_test_catches_a_mutant(lab: str) -> None:
    caught_by = {name for path in MUTANTS.glob(f"{lab}/*.toml") for name in read_mutant(path).caught_by}
    graded = {test.name for test in load(KIT, lab).tests}
    assert graded - caught_by == set(), "graded tests that no mutant needs: do they test anything?"
    assert caught_by - graded == set(), "mutants name tests that lab.toml does not have"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("no such text", "x", "stands 0 times"),
        ("twice", "x", "stands 2 times"),
    ],
)
def test_a_stale_mutant_is_an_error(tmp_path: Path, old: str, new: str, says: str) -> None:
    (tmp_path / "module.py").write_text("twice = 'twice'\n")
    mutant = Mutant("stale", "lab01", ("test_x",), (Change("module.py", old, new),))
    with pytest.raises(Stale, match=says):
        apply(mutant, tmp_path)


def test_a_mutant_that_is_no_python_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text("value = 1\n")
    with pytest.raises(SyntaxError):
        apply(Mutant("broken", "lab01", ("test_x",), (Change("module.py", "= 1", "= ="),)), tmp_path)
    with pytest.raises(Stale, match="no solutions/gone"):
        apply(Mutant("gone", "lab01", ("test_x",), (Change("gone.py", "a", "b"),)), tmp_path)


def test_a_misspelled_key_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "lab01" / "one.toml"
    path.parent.mkdir()
    path.write_text('title = "t"\nlab = "lab01"\ncaugth_by = []\n')
    with pytest.raises(Stale, match="caugth_by"):
        read_mutant(path)

"""Wrong solutions that the graded tests must catch: the tests are themselves tested.

Of the mutants (`tests/mutants/`), a sample is graded here that still gives every graded test one to catch; all of them
with CI_FULL=1 in the environment, or by `python -m tests.mutants`, which prints the whole matrix. Next to them stand
two checks that give them their meaning: the reference passes every graded test, and every graded test has a mutant.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from harness.grading.manifest import load
from harness.workspace import LABS
from tests.mutants.mutant import (
    KIT,
    LONGEST,
    MUTANTS,
    Change,
    Graded,
    Mutant,
    Stale,
    apply,
    complaint,
    grade,
    grade_mutant,
    mutants,
    read_mutant,
    sample,
)

AT_ONCE = 2  # gradings side by side: their nodes mostly wait for each other


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


def chosen() -> list[Any]:
    found = mutants() if os.environ.get("CI_FULL") else sample(mutants())
    return [pytest.param(path, id=f"{path.parent.name}/{path.stem}") for path in found]


@pytest.mark.timeout(LONGEST)
@pytest.mark.parametrize("path", chosen())
def test_a_mutant_is_caught(path: Path, gradings: dict[Path, Future[Graded]]) -> None:
    graded = gradings[path].result()
    problem = complaint(read_mutant(path), graded)
    if problem and graded.too_busy:
        pytest.skip(f"this machine was too busy, twice: {problem}")
    assert not problem, f"{problem}\n{graded.printed}"


def test_the_sample_gives_every_graded_test_a_mutant() -> None:
    everywhere = {name for path in mutants() for name in read_mutant(path).caught_by}
    few = sample(mutants())
    assert {name for path in few for name in read_mutant(path).caught_by} == everywhere
    assert few == sample(reversed(mutants())), "the sample depends on the order"


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
    ("tries", "status", "failures", "problem"),
    [
        (1, "failed", 10, ""),
        (1, "failed", 9, "test_x caught 'wrong' only 9 times of 10"),
        (3, "failed", 9, ""),
        (1, "passed", 0, "test_x did not catch 'wrong' but passed"),
        (3, "passed", 0, "test_x did not catch 'wrong' but passed"),
    ],
)
def test_a_mutant_has_to_be_caught_every_time(tries: int, status: str, failures: int, problem: str) -> None:
    mutant = Mutant("wrong", "lab01", ("test_x",), (), tries=tries)
    test = {"status": status, "failures": failures, "attempts": 10, "message": ""}
    assert complaint(mutant, Graded({"test_x": test}, "")) == problem


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

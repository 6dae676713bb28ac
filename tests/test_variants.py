"""Other right answers (`tests/variants/`) score full points: what they fail asks for more than the handouts do.

Here each is graded with the few tests that its difference bears on most; with CI_FULL=1 in the environment, or by
`python -m tests.variants`, with its whole lab.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.grading.manifest import load
from harness.workspace import LABS
from tests.mutants.mutant import KIT, LONGEST, Graded, Stale, grade
from tests.variants.variant import Variant, assemble, lay_over, read_variant, variants

AT_ONCE = 2
ALL = variants()


def graded(variant: Variant, directory: Path) -> Graded:
    submission = directory / "submission"
    assemble(variant, submission)
    only = () if os.environ.get("CI_FULL") else variant.quick
    return grade(variant.lab, submission, only, directory / "results.json", jobs=1)


@pytest.fixture(scope="module")
def gradings(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[Graded]]]:
    """A grading of every variant that was selected, under way."""
    calls = [getattr(item, "callspec", None) for item in request.session.items]
    chosen = [call.params["variant"] for call in calls if call is not None and "variant" in call.params]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {one.name: pool.submit(graded, one, tmp_path_factory.mktemp(one.path.name)) for one in chosen}
        pool.shutdown(cancel_futures=True)


@pytest.mark.timeout(LONGEST)
@pytest.mark.parametrize("variant", ALL, ids=lambda variant: variant.name)
def test_another_right_answer_scores_full_points(
    variant: Variant, gradings: dict[str, Future[Graded]]
) -> None:
    run = gradings[variant.name].result()
    ran = {name: test["status"] for name, test in run.tests.items() if test["status"] != "not run"}
    assert set(ran.values()) == {"passed"}, run.printed
    assert set(variant.quick) <= set(ran)


@pytest.mark.parametrize("lab", LABS)
def test_every_lab_has_three(lab: str) -> None:
    mine = [one for one in ALL if one.lab == lab]
    assert len(mine) >= 3
    tests = {test.name for test in load(KIT, lab).tests}
    assert {name for one in mine for name in one.quick} <= tests


@pytest.mark.parametrize("variant", ALL, ids=lambda variant: variant.name)
def test_a_variant_is_no_copy(variant: Variant) -> None:
    """A module that is the reference's own has no place in a variant: leave it out, and it is laid under it."""
    reference = KIT / "solutions" / LABS[variant.lab].root
    for module in variant.modules:
        twin = reference / module.relative_to(variant.path)
        if twin.is_file():
            assert ast.dump(ast.parse(module.read_text())) != ast.dump(ast.parse(twin.read_text())), module


def test_a_stale_variant_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "lab01" / "stale"
    path.mkdir(parents=True)
    change = "[[change]]\nfile = '01_rpc/rpc/retry.py'\nold = 'no such text'\nnew = ''\n"
    (path / "variant.toml").write_text(f"title = 'x'\ndiffers = 'x'\nquick = []\n{change}")
    (path / "rpc").mkdir()
    submission = tmp_path / "submission"
    assemble(ALL[0], submission)
    with pytest.raises(Stale, match="stands 0 times"):
        lay_over(read_variant(path), submission)

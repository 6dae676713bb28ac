"""With the parts up to X written, and what its handout says they need besides, the tests of part X pass.

Here that is tried where it costs little; `python -m tests.prefixes --check` tries it for every test.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.grading.manifest import load
from harness.workspace import KIT, LABS
from tests.mutants.mutant import LONGEST
from tests.prefixes.__main__ import check
from tests.prefixes.prefix import assemble, functions, is_part, read_plan

CHEAP = {"lab02": "ABCD"}


@pytest.mark.timeout(LONGEST)
@pytest.mark.parametrize("lab", CHEAP)
def test_a_part_can_be_graded_before_the_next_is_written(lab: str) -> None:
    parts = [part for part in load(KIT, lab).parts if part.part in CHEAP[lab]]
    assert check(lab, {test.name: part.part for part in parts for test in part.tests}) == []


@pytest.mark.parametrize("lab", LABS)
def test_every_prefix_can_be_assembled(lab: str, tmp_path: Path) -> None:
    marks = functions(lab)
    for part in load(KIT, lab).parts:
        assemble(lab, part.part, (), tmp_path / part.part)
        package = tmp_path / part.part / LABS[lab].root / LABS[lab].package
        text = "".join(path.read_text(encoding="utf-8") for path in package.rglob("*.py"))
        later = [mark for found in marks.values() for mark in found if mark.part > part.part]
        assert text.count("raise NotImplementedError(") == len(later)


@pytest.mark.parametrize("lab", LABS)
def test_needs_are_tests_and_functions_that_there_are(lab: str) -> None:
    manifest = load(KIT, lab)
    parts_of = {name: {mark.part for mark in marks} for name, marks in functions(lab).items()}
    known = {*parts_of, *(part.part for part in manifest.parts)}
    for test, needs in read_plan(lab).needs.items():
        assert test in {one.name for one in manifest.tests}
        assert set(needs) <= known, set(needs) - known
        parts = [one for one in needs if is_part(one)]
        assert len(parts) <= 1, f"{test}: the latest part says it"
        for name in set(needs).difference(parts):
            assert max(parts_of[name]) > max(parts, default=""), f"{test}: {name} is in {parts[0]}"

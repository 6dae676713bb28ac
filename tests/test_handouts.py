"""What a handout says twice is checked: its parts, their titles, points, and how many functions there are to write."""

from __future__ import annotations

import re

import pytest

from harness.grading.manifest import load
from harness.workspace import KIT, LABS
from tools.starters import find_packages, generate

HEADING = re.compile(r"^## Part ([A-Z]): (.+)$", re.MULTILINE)
ROW = re.compile(
    r"^\| ([A-Z]) \| (\d+) \|.*\| (\d+) \|[^|]*\|$", re.MULTILINE
)  # part, points, …, functions, size


def handout(lab: str) -> str:
    path = KIT / "labs" / LABS[lab].root / "README.md"
    if not path.is_file():
        pytest.skip(f"{lab} has no handout yet")
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("lab", LABS)
def test_a_handout_has_the_parts_of_its_manifest(lab: str) -> None:
    assert HEADING.findall(handout(lab)) == [(part.part, part.title) for part in load(KIT, lab).parts]


@pytest.mark.parametrize("lab", LABS)
def test_the_table_of_parts_is_right(lab: str) -> None:
    rows = ROW.findall(handout(lab))
    if not rows:
        pytest.skip(f"{lab}'s handout has no table of parts")
    (package,) = (one for one in find_packages(KIT) if one.lab == lab)
    parts = generate(package).parts
    right = [(part.part, str(part.points), str(parts[part.part])) for part in load(KIT, lab).parts]
    assert rows == right

"""What a handout says twice is checked: its parts, their titles, points, and how many functions there are to write."""

from __future__ import annotations

import re

import pytest

from harness.grading.manifest import load
from harness.workspace import KIT, LABS
from tests.prefixes.prefix import functions, is_part, read_plan
from tools.starters import find_packages, generate

HEADING = re.compile(r"^## Part ([A-Z]): (.+)$", re.MULTILINE)
ROW = re.compile(
    r"^\| ([A-Z]) \| (\d+) \|.*\| (\d+) \|[^|]*\|$", re.MULTILINE
)  # part, points, …, functions, size
LISTED = re.compile(r"^\d+ points, (\d+) (?:small )?functions \(([^)]*)\)", re.MULTILINE)


def handout(lab: str) -> str:
    path = KIT / "labs" / LABS[lab].root / "README.md"
    if not path.is_file():
        pytest.skip(f"{lab} has no handout yet")
    return path.read_text(encoding="utf-8")


def sections(lab: str) -> dict[str, str]:
    """What a handout says of each part."""
    text = handout(lab)
    starts = list(HEADING.finditer(text))
    ends = [one.start() for one in starts[1:]] + [len(text)]
    return {one[1]: text[one.start() : end] for one, end in zip(starts, ends, strict=True)}


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


@pytest.mark.parametrize("lab", LABS)
def test_a_part_lists_its_functions_and_modules(lab: str) -> None:
    marks = functions(lab)
    for part, text in sections(lab).items():
        listed = LISTED.search(text)
        if listed is None:
            continue
        mine = [name for name, found in marks.items() for mark in found if mark.part == part]
        assert int(listed[1]) == len(mine), f"{lab} part {part}"
        assert {name.partition(".")[0] for name in mine} <= set(re.findall(r"`(\w+)`", listed[2])), part


@pytest.mark.parametrize("lab", LABS)
def test_a_handout_says_what_tests_need_of_later_parts(lab: str) -> None:
    """What [needs] in tests/prefixes says, which `python -m tests.prefixes --check` holds against the tests."""
    known = functions(lab)
    part_of = {test.name: part.part for part in load(KIT, lab).parts for test in part.tests}
    for test, needs in read_plan(lab).needs.items():
        said = " ".join(sections(lab)[part_of[test]].split())
        for need in needs:
            later = need if is_part(need) else known[need][0].part
            assert later > part_of[test], f"{test} is of part {part_of[test]} and needs {need}"
            if is_part(need):
                wanted = rf"`{test}`[^.|]*part {need}\b|part {need}\b[^.|]*`{test}`"
            else:
                module, _, name = need.partition(".")
                wanted = rf"`({module}\.)?{name}`|`{module}`"
            assert re.search(wanted, said), f"part {part_of[test]} does not say that {test} needs {need}"

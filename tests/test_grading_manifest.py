"""The manifests of the real labs: points add up, and agree with the graded tests' code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.grading.claims import ClaimError, read_claims
from harness.grading.manifest import load, load_all
from harness.workspace import KIT, LABS

PARTS = {
    "lab01": {"A": 15, "B": 20, "C": 30, "D": 20, "E": 15},
    "lab02": {"A": 15, "B": 15, "C": 25, "D": 20, "E": 15, "F": 10},
    "lab03": {"A": 25, "B": 15, "C": 25, "D": 20, "E": 15},
    "lab04": {"A": 20, "B": 15, "C": 30, "D": 10, "E": 25},
}


def test_all_manifests_load_together() -> None:
    assert [manifest.lab for manifest in load_all(KIT, LABS)] == list(PARTS)


@pytest.mark.parametrize("lab", PARTS)
def test_a_lab_is_worth_a_hundred_points(lab: str) -> None:
    manifest = load(KIT, lab)
    assert {part.part: part.points for part in manifest.parts} == PARTS[lab]
    assert sum(part.points for part in manifest.parts) == 100


@pytest.mark.parametrize("lab", PARTS)
def test_manifest_and_code_name_the_same_tests(lab: str) -> None:
    manifest = load(KIT, lab)
    claimed = read_claims(manifest.directory)
    names = {test.name for test in manifest.tests}
    assert sorted(names - set(claimed)) == [], "in lab.toml, but no test with @claim has this name"
    assert sorted(set(claimed) - names) == [], "a test with @claim, but not in lab.toml"
    if claimed:
        assert [part.part for part in manifest.parts if not part.tests] == [], "a part without tests"


@pytest.mark.parametrize("lab", PARTS)
def test_every_test_function_makes_a_claim(lab: str) -> None:
    directory = load(KIT, lab).directory
    claimed = read_claims(directory)
    for path in sorted(directory.glob("test_*.py")):
        defined = re.findall(r"^(?:async )?def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
        assert [name for name in defined if name not in claimed] == [], path


@pytest.mark.parametrize("lab", PARTS)
def test_every_claim_says_where_to_read_and_gives_a_hint(lab: str) -> None:
    for name, found in read_claims(load(KIT, lab).directory).items():
        file, _, anchor = found.claim.read.partition("#")
        assert found.claim.hint, f"{name} has no hint"
        assert (KIT / file).is_file(), f"{name} sends to {file!r}, which is not there"
        assert not anchor or _has_anchor(KIT / file, anchor), f"{file} has no heading #{anchor} ({name})"


def _has_anchor(path: Path, anchor: str) -> bool:
    """A heading whose slug is the anchor or begins with it (#part-a for "Part A: Marshal"), or an id."""
    text = path.read_text(encoding="utf-8")
    headings = re.findall(r"^#+ +(.+?) *#*$", text, re.MULTILINE)
    slugs = [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]
    named = re.findall(r"""(?:id|name)=["']([\w-]+)["']""", text)
    return anchor in named or any(slug == anchor or slug.startswith(f"{anchor}-") for slug in slugs)


def test_claims_are_read_without_running_the_code(tmp_path: Path) -> None:
    code = 'raise SystemExit\n@claim("One " "text", hint="h")\ndef test_x(): pass\ndef test_y(): pass\n'
    (tmp_path / "test_a.py").write_text(code)
    (tmp_path / "test_b.py").write_text("no python")
    found = read_claims(tmp_path)
    assert list(found) == ["test_x"]
    assert (found["test_x"].claim.title, found["test_x"].claim.hint) == ("One text", "h")


@pytest.mark.parametrize("arguments", ['f"{x}"', "", '"a", "b"', '"a", hint=3', '"a", wrong="x"', '""'])
def test_claims_that_cannot_be_read_are_refused(tmp_path: Path, arguments: str) -> None:
    (tmp_path / "test_a.py").write_text(f"@claim({arguments})\ndef test_x(): pass\n")
    with pytest.raises(ClaimError, match=r"test_a\.py:1: @claim takes"):
        read_claims(tmp_path)


def test_one_name_in_two_files_is_refused(tmp_path: Path) -> None:
    for name in ("test_a.py", "test_b.py"):
        (tmp_path / name).write_text('@claim("x")\ndef test_x(): pass\n')
    with pytest.raises(ClaimError, match="is already a test in"):
        read_claims(tmp_path)

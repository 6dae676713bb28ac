"""Starters are generated from the solutions, kept in step with them, and never at the cost of a student's work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.grading.manifest import load
from harness.patience import longest
from tools import starters

KIT = Path(__file__).resolve().parent.parent

SOLUTION = '"""Ask."""\n\n\ndef ask():\n    """Ask."""\n    # lab 1 part B: hint\n    return 1\n'
STARTER = SOLUTION.replace(
    "# lab 1 part B: hint\n    return 1", 'raise NotImplementedError("lab 1 part B: hint")'
)


@pytest.fixture
def kit(tmp_path: Path) -> Path:
    package = tmp_path / "solutions" / "01_rpc" / "rpc"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text('"""The package."""\n')
    (package / "ask.py").write_text(SOLUTION)
    (package / "py.typed").write_bytes(b"")
    return tmp_path


def run(kit: Path, *arguments: str) -> int:
    return starters.main(arguments, kit)


def written(kit: Path) -> Path:
    assert run(kit, "--write") == 0
    return kit / "labs" / "01_rpc" / "rpc" / "ask.py"


def test_write_then_check_agree(kit: Path) -> None:
    assert run(kit, "--check") == 1
    assert written(kit).read_text() == STARTER
    assert (kit / "labs/01_rpc/rpc/py.typed").exists()
    assert run(kit, "--check") == 0


def test_check_shows_the_difference(kit: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ask = written(kit)
    ask.write_text(STARTER.replace("hint", "another"))
    (ask.parent / "extra.py").write_text("")
    (ask.parent / "py.typed").unlink()
    assert run(kit, "--check", "lab01") == 1
    said = capsys.readouterr().err
    assert '-    raise NotImplementedError("lab 1 part B: another")' in said
    assert "labs/01_rpc/rpc/extra.py is there" in said
    assert "labs/01_rpc/rpc/py.typed is missing" in said


def test_write_follows_the_solution(kit: Path) -> None:
    ask = written(kit)
    (kit / "solutions/01_rpc/rpc/ask.py").rename(kit / "solutions/01_rpc/rpc/answer.py")
    assert run(kit, "--write", "lab01") == 0
    assert not ask.exists()
    assert (ask.parent / "answer.py").read_text() == STARTER


def test_write_refuses_to_overwrite_work(kit: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ask = written(kit)
    ask.write_text("my work\n")
    (kit / "solutions/01_rpc/rpc/ask.py").write_text(SOLUTION.replace("hint", "better hint"))
    (kit / "solutions/01_rpc/rpc/__init__.py").write_text('"""Changed."""\n')
    assert run(kit, "--write") == 2
    assert "worked on labs/01_rpc/rpc/ask.py;" in capsys.readouterr().err
    assert ask.read_text() == "my work\n"
    assert "Changed" not in (ask.parent / "__init__.py").read_text()
    assert run(kit, "--write", "--force") == 0
    assert "better hint" in ask.read_text()


def test_work_in_a_file_the_solution_dropped_is_kept(kit: Path) -> None:
    ask = written(kit)
    ask.write_text("my work\n")
    (kit / "solutions/01_rpc/rpc/ask.py").rename(kit / "solutions/01_rpc/rpc/answer.py")
    assert run(kit, "--write") == 2
    assert ask.read_text() == "my work\n"


@pytest.mark.parametrize("stamp", [None, "no json", "[]", '{"generated": {"../../precious": "x"}}'])
def test_without_a_stamp_nothing_is_overwritten(kit: Path, stamp: str | None) -> None:
    ask = written(kit)
    (kit / "precious").write_text("precious")
    path = kit / "labs/01_rpc/.starter.json"
    path.unlink() if stamp is None else path.write_text(stamp)
    assert run(kit, "--write") == 0, "what is as generated may be written again"
    path.unlink() if stamp is None else path.write_text(stamp)
    ask.write_text(STARTER + "\n")
    assert run(kit, "--write") == 2
    assert (kit / "precious").exists()


def test_own_files_of_a_student_are_left_alone(kit: Path) -> None:
    mine = written(kit).parent / "mine.py"
    mine.write_text("mine")
    assert run(kit, "--write") == 0
    assert mine.read_text() == "mine"


def test_nothing_is_written_when_a_solution_is_wrong(kit: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (kit / "solutions/01_rpc/rpc/wrong.py").write_text(SOLUTION.replace("lab 1", "lab 2"))
    assert run(kit, "--write") == 1
    assert "solutions/01_rpc/rpc/wrong.py: line 6: the marker of ask says lab 2" in capsys.readouterr().err
    assert not (kit / "labs").exists()


def test_a_package_without_markers_is_not_given_away(kit: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (kit / "solutions/01_rpc/rpc/ask.py").write_text('"""Ask."""\n')
    assert run(kit, "--write") == 1
    assert "no function is marked" in capsys.readouterr().err


def test_given_import_of_a_vanished_helper(kit: Path, capsys: pytest.CaptureFixture[str]) -> None:
    helper = "\n\ndef _help():\n    # lab 1 part B\n    return 1\n"
    (kit / "solutions/01_rpc/rpc/ask.py").write_text(SOLUTION + helper)
    (kit / "solutions/01_rpc/rpc/__init__.py").write_text("from rpc.ask import _help\n")
    assert run(kit, "--check") == 1
    assert "rpc/__init__.py: given code imports _help, which vanishes" in capsys.readouterr().err


def test_another_root_and_an_unknown_lab(kit: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(kit, "--write", "--root", str(kit / "else")) == 0
    assert (kit / "else/labs/01_rpc/rpc/ask.py").is_file()
    assert not (kit / "labs").exists()
    assert run(kit, "--write", "lab07") == 2
    assert "lab07; it has lab01" in capsys.readouterr().err


def test_the_stamp_lists_every_generated_file(kit: Path) -> None:
    written(kit)
    stamp = json.loads((kit / "labs/01_rpc/.starter.json").read_text())
    assert list(stamp["generated"]) == ["rpc/__init__.py", "rpc/ask.py", "rpc/py.typed"]


# ---- this kit


REAL = starters.find_packages(KIT)


@pytest.mark.parametrize("package", REAL, ids=[package.lab for package in REAL])
def test_starters_of_this_kit_are_generated(package: starters.Package) -> None:
    tree = starters.generate(package)
    assert tree.problems == []
    assert starters.check(package, tree, KIT) == [], "python -m tools.starters --write"


@pytest.mark.parametrize("package", REAL, ids=[package.lab for package in REAL])
def test_parts_to_write_are_parts_of_the_lab(package: starters.Package) -> None:
    parts = {part.part for part in load(KIT, package.lab).parts}
    assert set(starters.generate(package).parts) <= parts


def test_starters_of_this_kit_can_be_imported(tmp_path: Path) -> None:
    """Each as its student meets it first: with the labs before it just as unwritten."""
    for package in REAL:
        tree = starters.generate(package)
        assert tree.problems == []
        starters.write(package, tree, tmp_path)
    roots = [str(tmp_path / "labs" / package.root) for package in REAL]
    for package in REAL:
        names = [path for path in starters.generate(package).files if path.endswith(".py")]
        modules = [name.removesuffix(".py").replace("/", ".").removesuffix(".__init__") for name in names]
        done = subprocess.run(
            [sys.executable, "-c", "; ".join(f"import {name}" for name in modules if "__main__" not in name)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(KIT), *roots])},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=longest(60),
        )
        assert done.returncode == 0, done.stderr

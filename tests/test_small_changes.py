"""The random small changes that show what the graded tests do not look at (tests/small_changes.py)."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.workspace import LABS
from tests import small_changes
from tests.mutants.mutant import Graded
from tests.small_changes import Change, changes_of, edits

PROGRAM = '''
    class Table:
        """Text."""

        size = 8

        def put(self, key, value):
            """Text."""
            if key is None and not value:
                raise ValueError(key)
            self.rows[key] = value
            while len(self.rows) > self.size - 1:
                self.rows.popitem()
            return True
'''


def test_what_is_changed() -> None:
    text = textwrap.dedent(PROGRAM)
    number = len(list(edits(ast.parse(text))))
    made = [Change("table.py", one).made(text) for one in range(number)]
    assert sorted(what for what, _ in made) == sorted(
        [
            "table.py:5  8 -> 9",
            "table.py:9  key is None and (not value) -> not (key is None and (not value))",
            "table.py:9  key is None and (not value) -> not value",
            "table.py:9  key is None and (not value) -> key is None",
            "table.py:9  key is None -> key is not None",
            "table.py:10  raise ValueError(key) -> pass",
            "table.py:11  self.rows[key] = value -> pass",
            "table.py:12  len(self.rows) > self.size - 1 -> not len(self.rows) > self.size - 1",
            "table.py:12  len(self.rows) > self.size - 1 -> len(self.rows) >= self.size - 1",
            "table.py:12  self.size - 1 -> self.size + 1",
            "table.py:12  1 -> 2",
            "table.py:13  self.rows.popitem() -> pass",
        ]
    )
    plain = ast.unparse(ast.parse(text))
    assert all(new != plain for _, new in made)
    assert len({new for _, new in made}) == number


def test_every_lab_has_some() -> None:
    for lab in LABS:
        files = {change.file.split("/")[0] for change in changes_of(lab)}
        assert files == {LABS[lab].root}


def test_what_no_test_notices_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[str] = []

    def grade(lab: str, submission: Path, only: Sequence[str], results: Path, jobs: int) -> Graded:
        changed = [
            path
            for path in submission.rglob("*.py")
            if path.read_bytes()
            != (small_changes.KIT / "solutions" / path.relative_to(submission)).read_bytes()
        ]
        assert len(changed) == 1
        seen.append(changed[0].name)
        status = "passed" if len(seen) == 2 else "failed"
        return Graded({"test_a": {"status": "passed"}, "test_b": {"status": status}}, "")

    monkeypatch.setattr(small_changes, "grade", grade)
    monkeypatch.setattr("sys.argv", ["small_changes", "--lab", "lab03", "--count", "3", "--jobs", "1"])
    assert small_changes.main() == 0
    first, last = capsys.readouterr().out.splitlines()
    assert f"{seen[1]}:" in first and " -> " in first
    assert last.startswith("1 of 3 were not noticed; lab03 has ")

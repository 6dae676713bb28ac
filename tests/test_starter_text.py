"""Markers: what becomes of each kind of marked code, and which markers are refused.

tests/starter_cases/solution/ holds small modules with markers, tests/starter_cases/starter/ what must become
of them. Ruff checks both with the rest of the kit, so needless imports or odd blank lines would show.
"""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from tools.starter_text import make_starter

CASES = Path(__file__).resolve().parent / "starter_cases"


def dedent(text: str) -> str:
    return textwrap.dedent(text).lstrip("\n")


@pytest.mark.parametrize("path", sorted((CASES / "solution").glob("*.py")), ids=lambda path: path.stem)
def test_starter_of(path: Path) -> None:
    made = make_starter(path.read_text(encoding="utf-8"), 1, path.name)
    assert made.problems == []
    assert made.text == (CASES / "starter" / path.name).read_text(encoding="utf-8")


def test_what_has_no_marker_is_not_touched() -> None:
    source = """import os, sys
x = {  'a':1 }   # unformatted
text = '''
# lab 1 part B: a string is no comment
'''
"""
    assert make_starter(source, 1, "m.py").text == source


PROBLEMS = {
    "needs a hint": '''
        def ask():
            """Ask."""
            # lab 1 part B
            return 1
        ''',
    "says lab 2, and this is lab 1": '''
        def ask():
            """Ask."""
            # lab 2 part B: hint
            return 1
        ''',
    "is no marker": '''
        def ask():
            """Ask."""
            # Lab 1, part B: hint
            return 1
        ''',
    "needs a docstring": """
        def ask():
            # lab 1 part B: hint
            return 1
        """,
    "first thing": '''
        def ask():
            """Ask."""
            x = 1
            # lab 1 part B: too late
            return x
        ''',
    "line 3: `# lab 1 part B: on the line of code`": '''
        def ask():
            """Ask."""
            return 1  # lab 1 part B: on the line of code
        ''',
    "marked inside ask": '''
        def ask():
            """Ask."""
            # lab 1 part B: hint

            def inner():
                """Inner."""
                # lab 1 part B: lost
                return 1

            return inner()
        ''',
    "class Public cannot be marked": '''
        class Public:
            """A class."""

            # lab 1 part B
            x = 1
        ''',
    "_help vanishes, and the starter names it on line 2: return _help()": """
        def given():
            return _help()


        def _help():
            # lab 1 part B
            return 1
        """,
    "_tell vanishes": """
        class Given:
            def given(self):
                return self._tell()

            async def _tell(self):
                # lab 1 part B
                return 1
        """,
    "names it on line 3: raise": '''
        def ask():
            """Ask."""
            # lab 1 part B: let _help do it
            return _help()


        def _help():
            # lab 1 part B
            return 1
        ''',
    "the solution is no Python": "def ask(:\n",
    "the starter would be no Python": '''
        def outer():
            """Given."""
            x = 1

            def ask():
                """Ask."""
                # lab 1 part B: hint
                return x

            def _help():
                # lab 1 part B
                return 1

            return ask
        ''',
}


@pytest.mark.parametrize("problem", PROBLEMS)
def test_refused(problem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    source = dedent(PROBLEMS[problem])
    if problem == "the starter would be no Python":  # no solution we know of gets there, so break the tool
        monkeypatch.setattr("tools.starter_text._raise_lines", lambda *_: ["raise raise"])
    found = make_starter(source, 1, "m.py").problems
    assert any(problem in text for text in found), found

"""What no file of the kit may contain, and how long a file may be."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

KIT = Path(__file__).resolve().parent.parent
SKIPPED = {
    ".git",
    ".venv",
    "__pycache__",
    ".ruff_cache",
    ".pytest_cache",
    ".hypothesis",
    ".labkit",
    "build",
    "dist",
}

# A kit that works on one machine only is no kit. Written in pieces, so that this file does not find itself.
PLACES = re.compile(
    "|".join(
        [
            r"\.\./" + "shared",
            r"(?<![\w.])/" + r"(work|root|home)/",
            r"--(extra-)?" + "index-url",
            r"https?://(localhost|127\.|10\.|192\.168\.)[^\s]*" + "/simple",
        ]
    )
)

MAX_LINES = 400  # a longer file probably holds more than one concept


def texts() -> Iterator[tuple[str, str]]:
    """Path and text of every text file; what git would not keep is left out."""
    for path in sorted(KIT.rglob("*")):
        name = path.relative_to(KIT)
        if SKIPPED.intersection(name.parts) or path.is_symlink() or not path.is_file():
            continue
        try:
            yield name.as_posix(), path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


def machine_places(name: str, text: str) -> Iterator[str]:
    for number, line in enumerate(text.splitlines(), start=1):
        if found := PLACES.search(line):
            yield f"{name}:{number} names a place that only one machine has: {found[0]}"


def too_long(name: str, text: str) -> Iterator[str]:
    count = len(text.splitlines())
    if name.endswith(".py") and count > MAX_LINES:
        yield f"{name} has {count} lines"


def test_no_text_names_a_place_of_one_machine() -> None:
    broken = [sentence for name, text in texts() for sentence in machine_places(name, text)]
    assert not broken, "\n".join(broken)


def test_files_are_read_in_one_sitting() -> None:
    longer = [sentence for name, text in texts() for sentence in too_long(name, text)]
    assert not longer, f"more than {MAX_LINES} lines: {'; '.join(longer)}"


def test_texts_were_found() -> None:
    assert {"pyproject.toml", "labkit/clock.py", "docs/protocol.md"} <= {name for name, _ in texts()}


@pytest.mark.parametrize(
    "line",
    [
        "see .." + "/shared/notes.md",
        "path = '/" + "work/main'",
        "open('/" + "home/somebody/x')",
        "pip install --" + "index-url x",
        "uv: http://127.0.0.1:3141/pypi" + "/simple/",
    ],
)
def test_planted_place_is_noticed(line: str) -> None:
    assert list(machine_places("a.md", f"fine\n{line}\n"))


@pytest.mark.parametrize(
    "line", ["labs/work/x", "the paper's /home page", "http://127.0.0.1:80", "a/root/b", "../labs"]
)
def test_other_places_are_fine(line: str) -> None:
    assert list(machine_places("a.md", line)) == []


def test_long_file_is_noticed() -> None:
    assert list(too_long("a.py", "x = 1\n" * (MAX_LINES + 1)))
    assert list(too_long("a.py", "x = 1\n" * MAX_LINES)) == []
    assert list(too_long("a.md", "x\n" * 1000)) == []

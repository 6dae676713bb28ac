"""What a person asks for: labs by name, and with ``--only`` parts and tests.

``A`` is part A of every lab asked for, ``lab04:C`` a part of one lab, ``test_x`` or ``lab04:test_x`` a
test. Whatever is not there is answered with what is.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

from harness.grading.manifest import LabManifest
from harness.workspace import LABS


class SelectionError(Exception):
    """The name of something that does not exist; one sentence that says what does."""


def lab_name(said: str) -> str | None:
    """The lab a person means by ``lab1``, ``1`` or ``LAB01``; None if it is none."""
    number = re.fullmatch(r"(?:lab)?[-_ ]?0*([1-9]\d*)", said.strip().lower())
    name = f"lab{int(number[1]):02d}" if number else said
    return name if name in LABS else None


def labs_named(said: Iterable[str]) -> list[str]:
    """The labs of a list such as ``["lab01,lab02", "3"]``. Raises ``SelectionError``."""
    names: list[str] = []
    for word in _words(said):
        name = lab_name(word)
        if name is None:
            raise SelectionError(f"there is no lab {word!r}; the labs are {', '.join(LABS)}")
        names.append(name)
    return names


def select(manifests: Sequence[LabManifest], only: Iterable[str]) -> list[LabManifest]:
    """The manifests reduced to what ``only`` names; a lab with nothing left is dropped."""
    wanted: set[str] = set()
    for word in _words(only):
        found = _matches(manifests, word)
        if not found:
            raise SelectionError(_no_such(manifests, word))
        wanted |= found
    reduced = [manifest.only(frozenset(wanted)) for manifest in manifests]
    return [manifest for manifest in reduced if manifest.parts]


def _matches(manifests: Sequence[LabManifest], word: str) -> set[str]:
    before, colon, what = word.rpartition(":")
    lab = lab_name(before) if colon else None
    if colon and lab is None:
        return set()
    return {
        test.key
        for manifest in manifests
        if lab in (None, manifest.lab)
        for test in manifest.tests
        if test.name == what or test.part == what.upper()
    }


def _no_such(manifests: Sequence[LabManifest], word: str) -> str:
    tests = [test.name for manifest in manifests for test in manifest.tests]
    what = word.rpartition(":")[2]
    close = difflib.get_close_matches(what, tests, 3, 0.6)
    if close:
        return f"--only: there is no {word!r}; did you mean {' or '.join(close)}?"
    labs = "; ".join(f"{one.lab} has parts {', '.join(part.part for part in one.parts)}" for one in manifests)
    if what.startswith("test_") and len(tests) <= 12:
        return f"--only: there is no {word!r}; the tests are {', '.join(tests) or 'none yet'}"
    known = any(part.part == what.upper() for one in manifests for part in one.parts)
    empty = " with tests" if known else ""
    return f"--only: there is no {word!r}{empty}; {labs} (--list shows all tests)"


def _words(said: Iterable[str]) -> list[str]:
    return [word.strip() for one in said for word in one.split(",") if word.strip()]

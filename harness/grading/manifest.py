"""The manifest: ``labs/*/lab.toml`` says which tests a lab has, and what each is worth.

It is the only source of points and parts. Results are entered against it, so a graded test that was
deleted, renamed or skipped shows up as missing and scores nothing, instead of vanishing from the total.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from harness.grading.claims import Claim, ClaimError, read_claims
from harness.workspace import LABS

# The standard library has it from 3.11 on; before that, the very same code is the package tomli.
_toml: Any = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")


class ManifestError(Exception):
    """A manifest cannot be used; the text is one sentence that names the file."""


@dataclass(frozen=True)
class GradedTest:
    """One test of the manifest, with the claim its code makes."""

    lab: str
    part: str
    name: str
    points: int
    claim: Claim

    @property
    def key(self) -> str:
        """Unique over all labs."""
        return f"{self.lab}:{self.name}"


@dataclass(frozen=True)
class Part:
    """One part of a lab; ``points`` is what the manifest declares for it."""

    part: str
    title: str
    points: int
    tests: tuple[GradedTest, ...]


@dataclass(frozen=True)
class LabManifest:
    """One lab: its parts in order, and the directory of its graded tests."""

    lab: str
    title: str
    parts: tuple[Part, ...]
    directory: Path

    @property
    def tests(self) -> tuple[GradedTest, ...]:
        """All tests of all parts, in order."""
        return tuple(test for part in self.parts for test in part.tests)

    def only(self, wanted: frozenset[str]) -> LabManifest:
        """The lab reduced to the tests whose ids are wanted; a part counts what is left of it."""
        parts: list[Part] = []
        for part in self.parts:
            tests = tuple(test for test in part.tests if test.key in wanted)
            if tests:
                parts.append(replace(part, tests=tests, points=sum(test.points for test in tests)))
        return replace(self, parts=tuple(parts))


def load(kit: Path, lab: str) -> LabManifest:
    """The manifest of ``lab`` in the kit at ``kit``. Raises ``ManifestError``."""
    path = kit / "labs" / LABS[lab].root / "lab.toml"
    try:
        data: dict[str, Any] = _toml.loads(path.read_text(encoding="utf-8"))
        claims = read_claims(path.parent / "tests")
    except (OSError, ValueError) as problem:
        raise ManifestError(f"{path} cannot be read: {problem}") from problem
    except ClaimError as problem:
        raise ManifestError(str(problem)) from problem
    try:
        parts = tuple(
            _part(entry, lab, {name: one.claim for name, one in claims.items()})
            for entry in _tables(data, "parts")
        )
        manifest = LabManifest(lab, _text(data, "title"), parts, path.parent / "tests")
        _refuse_twice("part", (part.part for part in parts))
        _refuse_twice("test", (test.name for test in manifest.tests))
        if _text(data, "lab") != lab:
            raise ManifestError(f"it is the manifest of {data['lab']}, not of {lab}")
    except ManifestError as problem:
        raise ManifestError(f"{path}: {problem}") from problem
    return manifest


def load_all(kit: Path, labs: Iterable[str]) -> list[LabManifest]:
    """The manifests of several labs. Raises ``ManifestError``."""
    manifests = [load(kit, lab) for lab in labs]
    _refuse_twice("test", (test.name for manifest in manifests for test in manifest.tests))
    return manifests


def _part(entry: Mapping[str, Any], lab: str, claims: Mapping[str, Claim]) -> Part:
    name = _text(entry, "part")
    tests: list[GradedTest] = []
    for test in _tables(entry, "tests"):
        test_name = _text(test, "name")
        said = claims.get(test_name, Claim(_spoken(test_name)))
        tests.append(GradedTest(lab, name, test_name, _points(test), said))
    points = _points(entry)
    total = sum(test.points for test in tests)
    if tests and total != points:
        raise ManifestError(f"the tests of part {name} are worth {total} points together, not {points}")
    return Part(name, _text(entry, "title"), points, tuple(tests))


def _spoken(name: str) -> str:
    return name.removeprefix("test_").replace("_", " ").capitalize()


def _text(table: Mapping[str, Any], key: str) -> str:
    value = table.get(key)
    if not isinstance(value, str) or not value:
        raise ManifestError(f"{key} must be a text, and is {value!r}")
    return value


def _points(table: Mapping[str, Any]) -> int:
    value = table.get("points")
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise ManifestError(f"points must be a positive whole number, and is {value!r}")
    return value


def _tables(table: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    value = table.get(key)
    if not isinstance(value, list):
        raise ManifestError(f"{key} must be a list, and is {value!r}")
    entries = cast("list[object]", value)
    if not all(isinstance(entry, dict) for entry in entries):
        raise ManifestError(f"{key} must be a list of tables")
    return cast("list[Mapping[str, Any]]", entries)


def _refuse_twice(what: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ManifestError(f"the {what} {name} is there twice")
        seen.add(name)

"""What a student has who has written the parts of a lab up to one, and which tests pass with that.

Written are all functions of these parts, as the reference has them, and all private helpers; those of later parts raise
NotImplementedError as in the starter, and the labs before are the reference. `tests/prefixes/<lab>.toml`:

    [needs]                                 # for a graded test, what it needs of later parts: functions, all up to a part, or both
    test_read_across_chunks = ["records.encode", "appender.append"]
    test_many_files = ["F"]
    [[change]]                              # a function that grows from part to part: what it is before this part
    before = "E"
    file = "02_gfs_master/gfs_master/server.py"
    old = '''…'''
    new = '''…'''

What a test needs stands in the handout, in the part of the test (tests/test_handouts.py).
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.workspace import KIT, LABS
from tests.mutants.mutant import Change, replace, toml
from tools.markers import Fate, Mark, Module, find_marks
from tools.starter_text import make_starter

PREFIXES = Path(__file__).parent


@dataclass(frozen=True)
class Plan:
    """One lab's file."""

    needs: Mapping[str, tuple[str, ...]]
    changes: tuple[tuple[str, Change], ...]

    def parts_for(self, test: str, part: str) -> tuple[str, tuple[str, ...]]:
        """Up to which part a test of `part` needs all functions, and which others."""
        needs = self.needs.get(test, ())
        return max([part, *(one for one in needs if is_part(one))]), tuple(
            one for one in needs if not is_part(one)
        )


def is_part(need: str) -> bool:
    return len(need) == 1


def read_plan(lab: str) -> Plan:
    path = PREFIXES / f"{lab}.toml"
    data: dict[str, Any] = toml.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    changes = [(one["before"], Change(one["file"], one["old"], one["new"])) for one in data.get("change", [])]
    return Plan({name: tuple(needs) for name, needs in data.get("needs", {}).items()}, tuple(changes))


def functions(lab: str) -> dict[str, list[Mark]]:
    """All functions to write, by `module.name`; several classes of one module may have one of that name."""
    package = KIT / "solutions" / LABS[lab].root / LABS[lab].package
    found: dict[str, list[Mark]] = {}
    for path in sorted(package.rglob("*.py")):
        for mark in find_marks(Module.parse(path.read_text(encoding="utf-8")), int(lab[3:]))[0]:
            if mark.fate is Fate.WRITE:
                found.setdefault(f"{path.stem}.{mark.node.name}", []).append(mark)
    return found


def assemble(lab: str, last: str, also: Collection[str], submission: Path) -> None:
    """A hand-in at `submission` with the parts up to `last`, and `also` these functions."""
    shutil.copytree(KIT / "solutions", submission, ignore=shutil.ignore_patterns("__pycache__"))
    for before, change in read_plan(lab).changes:
        if last < before:
            replace(change, submission)
    for path in sorted((submission / LABS[lab].root / LABS[lab].package).rglob("*.py")):

        def is_written(mark: Mark, module: str = path.stem) -> bool:
            return mark.part <= last or mark.fate is Fate.VANISH or f"{module}.{mark.node.name}" in also

        made = make_starter(path.read_text(encoding="utf-8"), int(lab[3:]), path.name, is_written)
        assert not made.problems, made.problems
        path.write_text(made.text, encoding="utf-8")


def missing_in(lab: str, message: str) -> set[str]:
    """The functions to write that a failure names by what the starter says in their place."""
    return {
        name
        for name, marks in functions(lab).items()
        if any(mark.message in message.replace("\n", " ") for mark in marks)
    }

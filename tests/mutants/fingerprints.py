"""The fingerprints of the wrong solutions, for the grader's "this looks like", from the rows of the matrix."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.grading.looks import FILE, FITS, Fingerprint, failures_of, load_fingerprints, suggest, words
from harness.grading.manifest import load
from harness.workspace import LABS
from tests.mutants.mutant import KIT, Graded, read_mutant

Rows = Sequence[tuple[Path, Graded]]


def fingerprints(rows: Rows) -> list[Fingerprint]:
    """One for each mutant that any test caught."""
    found: list[Fingerprint] = []
    for path, graded in rows:
        mutant = read_mutant(path)
        failed = failures_of(graded.tests.values())
        reads = {test.name: test.claim.read for test in load(KIT, mutant.lab).tests}
        fails = {name: tuple(sorted(words(message))) for name, message in failed.items()}
        if fails:
            found.append(
                Fingerprint(mutant.lab, mutant.family, mutant.title, reads[mutant.caught_by[0]], fails)
            )
    return found


def write(rows: Rows, labs: Sequence[str]) -> None:
    """The data file, one line for each fingerprint. What it said of these labs is replaced."""
    kept = [one for one in load_fingerprints() if one.lab not in labs]
    known = sorted([*kept, *fingerprints(rows)], key=lambda one: one.lab)
    lines = [json.dumps(one.as_json(), ensure_ascii=False) for one in known]
    FILE.write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")


@dataclass(frozen=True)
class HeldOut:
    """What is suggested for wrong solutions that are not among the fingerprints, with one threshold.

    `kin`: those left out of whose family others stayed; for `right` of them it is among the first two suggestions.
    `strangers`: those whose whole family was left out; for `shown` of them something is suggested all the same.
    """

    fits: float
    kin: int = 0
    right: int = 0
    strangers: int = 0
    shown: int = 0

    def __str__(self) -> str:
        return (
            f"fits {self.fits:.2f}: the right family is among the first two for {self.right} of {self.kin} with kin; "
            f"without kin something is shown for {self.shown} of {self.strangers}"
        )


def held_out(known: Sequence[Fingerprint], ran: Mapping[str, frozenset[str]], fits: float = FITS) -> HeldOut:
    """Leave each out in turn, then its whole family too. `ran`: the graded tests of each lab."""
    kin = right = shown = 0
    for one in known:
        failed = {test: " ".join(said) for test, said in one.fails.items()}

        def families(others: list[Fingerprint], one: Fingerprint = one, failed: Any = failed) -> list[str]:
            return [found.known.family for found in suggest(others, one.lab, ran[one.lab], failed, fits)]

        others = [other for other in known if other is not one and other.lab == one.lab]
        strange = [other for other in others if other.family != one.family]
        if len(strange) < len(others):
            kin += 1
            right += one.family in families(others)
        shown += bool(families(strange))
    return HeldOut(fits, kin, right, len(known), shown)


def table(known: Sequence[Fingerprint]) -> str:
    """For each threshold and then, with the one in use, for each lab."""
    ran = {lab: frozenset(test.name for test in load(KIT, lab).tests) for lab in LABS}
    lines = [str(held_out(known, ran, tenths / 20)) for tenths in range(8, 20)]
    for lab in LABS:
        mine = [one for one in known if one.lab == lab]
        if mine:
            lines.append(f"{lab}, {held_out(mine, ran)}")
    return "\n".join(lines)

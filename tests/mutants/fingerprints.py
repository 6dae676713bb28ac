"""The fingerprints of the wrong solutions, for the grader's "this looks like", from the rows of the matrix."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from harness.grading.looks import FILE, Fingerprint, failures_of, suggest, words
from harness.grading.manifest import load
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


def write(rows: Rows) -> None:
    """The data file, one line for each fingerprint."""
    lines = [json.dumps(one.as_json(), ensure_ascii=False) for one in fingerprints(rows)]
    FILE.write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")


def measure(rows: Rows) -> str:
    """Leave each mutant out in turn: is its family among the first two suggestions, and what if all its family is out?"""
    known = fingerprints(rows)
    ran = {path.parent.name: frozenset(graded.tests) for path, graded in rows}
    kin = held = strangers = shown = 0
    for path, graded in rows:
        mutant, failed = read_mutant(path), failures_of(graded.tests.values())
        others = [one for one in known if one.title != mutant.title]
        if any(one.family == mutant.family and one.lab == mutant.lab for one in others):
            kin += 1
            held += mutant.family in [
                one.family for one in suggest(others, mutant.lab, ran[mutant.lab], failed)
            ]
        strange = [one for one in others if one.family != mutant.family]
        strangers += 1
        shown += bool(suggest(strange, mutant.lab, ran[mutant.lab], failed))
    return (
        f"left out, the right family is among the first two for {held} of {kin} mutants with kin; "
        f"with the whole family left out, something is still suggested for {shown} of {strangers}"
    )

"""``python -m tests.prefixes [lab02 ...]``: with which parts written does each graded test pass, at the earliest?

--only B --only test_names    these parts and tests alone; exhaustive ones take minutes
--more                        also what a test needs of later parts when all up to its own are written: one function
                              after the other, as failures ask for them
--check                       instead: does each test pass with the parts up to its own, and what [needs] says?
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from harness.grading.manifest import load
from harness.workspace import KIT, LABS
from tests.mutants.mutant import Graded, grade
from tests.prefixes.prefix import assemble, missing_in, read_plan


def with_parts(lab: str, last: str, also: Collection[str], only: Sequence[str], jobs: int = 2) -> Graded:
    """Grades a lab of which parts up to `last` are written."""
    with tempfile.TemporaryDirectory() as directory:
        submission = Path(directory, "submission")
        assemble(lab, last, also, submission)
        return grade(lab, submission, only, Path(directory, "results.json"), jobs)


def passed(graded: Graded) -> set[str]:
    return {name for name, test in graded.tests.items() if test["status"] == "passed"}


def measure(lab: str, tests: Mapping[str, str], parts: Sequence[str]) -> dict[str, str]:
    """The first part, from its own on, with which each of the `tests` passes; they come with their parts."""
    first: dict[str, str] = {}
    for last in parts:
        left = [name for name, part in tests.items() if name not in first and part <= last]
        if left:
            first.update(dict.fromkeys(passed(with_parts(lab, last, (), left)) & set(left), last))
    return first


def search(lab: str, last: str, test: str) -> tuple[list[str], str]:
    """Functions of later parts until the test passes, then less those it passes without; and what it says when none helps."""
    also: list[str] = []
    while True:
        graded = with_parts(lab, last, also, [test])
        if test in passed(graded):
            break
        message = graded.tests[test]["message"]
        new = (missing_in(lab, message) or missing_in(lab, graded.printed)) - set(also)
        if not new:
            return also, message
        also += sorted(new)
    for module in sorted({name.partition(".")[0] for name in also}):
        less = [name for name in also if name.partition(".")[0] != module]
        if test in passed(with_parts(lab, last, less, [test])):
            also = less
    return also, ""


def check(lab: str, tests: Mapping[str, str], jobs: int = 2) -> list[str]:
    """Which of the `tests`, with their parts, do not pass with the parts up to their own and what [needs] says."""
    plan = read_plan(lab)
    alike: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for name, part in tests.items():
        alike.setdefault(plan.parts_for(name, part), []).append(name)
    wrong: list[str] = []
    for (last, also), names in sorted(alike.items()):
        graded = with_parts(lab, last, also, names, jobs)
        wrong += [f"{name}: {graded.tests[name]['message']}" for name in sorted(set(names) - passed(graded))]
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.prefixes", description=__doc__)
    parser.add_argument("labs", nargs="*", metavar="LAB", default=list(LABS))
    parser.add_argument("--only", action="append", default=[], metavar="WHAT")
    parser.add_argument("--more", action="store_true")
    parser.add_argument("--check", action="store_true")
    said = parser.parse_args()
    wrong = 0
    for lab in said.labs:
        manifest = load(KIT, lab)
        part_of = {test.name: part.part for part in manifest.parts for test in part.tests}
        tests = {
            name: part for name, part in part_of.items() if not said.only or {name, part} & set(said.only)
        }
        if said.check:
            problems = check(lab, tests)
            wrong += len(problems)
            print("\n".join([f"{lab}: {len(tests)} tests, {len(problems)} wrong", *problems]), flush=True)
            continue
        first = measure(lab, tests, [part.part for part in manifest.parts])
        for name, part in tests.items():
            words = f"{lab} {part} {name}: {first.get(name, 'never')}"
            if said.more and first.get(name) != part:
                also, rest = search(lab, part, name)
                words += f"; or with {', '.join(also)}" + (f", and not even then: {rest}" if rest else "")
            print(words, flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

"""The matrix: every wrong solution against every graded test of its lab.

    python -m tests.mutants                    all mutants, whole labs
    python -m tests.mutants --lab lab01 --jobs 4
    python -m tests.mutants --write            also docs/mutants.md, and the fingerprints for "looks like"
    python -m tests.mutants --lab lab01 --write         what they say of this lab
    python -m tests.mutants --write --results DIR      in several sittings: what DIR holds is not graded again
    python -m tests.mutants --repeat 10        each with the tests that must catch it, ten times, which have to every time
    python -m tests.mutants --held-out         grades nothing: how good the fingerprints are for mutants left out of them

Exit code 1 when a mutant is not caught by the tests that must catch it, or a graded test catches none.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from harness.grading.looks import load_fingerprints
from harness.grading.manifest import load
from harness.workspace import LABS
from tests.mutants.fingerprints import fingerprints, table
from tests.mutants.fingerprints import write as write_fingerprints
from tests.mutants.mutant import KIT, Graded, complaint, grade_mutant, mutants, read_mutant

DOCUMENT = KIT / "docs" / "mutants.md"
SECTION = re.MULTILINE | re.DOTALL
HEAD = """# Wrong solutions and the tests that catch them

Written by `python -m tests.mutants --write`. Each row is one misconception as a small change to the reference
(`tests/mutants/`); **bold** tests must catch it, the others happen to. Seconds are those of the whole lab.
"""
Row = tuple[Path, Graded]


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutants", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--lab", action="append", choices=list(LABS), help="only this lab")
    parser.add_argument("--only", default="", help="only mutants whose name holds this")
    parser.add_argument("--jobs", type=int, default=3, help="gradings side by side (3)")
    parser.add_argument(
        "--repeat", type=int, default=0, help="only the tests that must catch it, so many times"
    )
    parser.add_argument("--write", action="store_true", help="write docs/mutants.md and the fingerprints")
    parser.add_argument(
        "--held-out", action="store_true", help="judge the fingerprints that are there, and end"
    )
    parser.add_argument(
        "--results",
        type=Path,
        metavar="DIR",
        help="keep each result there, and take from there what is not to be graded again; empty it when anything changed",
    )
    said = parser.parse_args()
    if said.held_out:
        known = load_fingerprints()
        print(table(known) if known else "there are no fingerprints yet: --write makes them")
        return 0
    if said.write and (said.only or said.repeat):
        parser.error("--write needs all mutants of a lab, and all its tests")
    paths = [path for path in mutants(said.lab or ()) if said.only in path.stem]
    rows = grade_all(paths, said.jobs, said.results, said.repeat)
    problems = [problem for path, graded in rows if (problem := complaint(read_mutant(path), graded))]
    labs: list[str] = said.lab or list(LABS)
    sections = {lab: section(lab, [row for row in rows if row[0].parent.name == lab]) for lab in labs}
    print("\n".join(sections.values()))
    if not said.only and not said.repeat:
        problems += idle(rows, labs)
    for problem in problems:
        print(problem)
    if said.write and not problems:
        DOCUMENT.write_text(document({**written(), **sections}), encoding="utf-8")
        write_fingerprints(rows, labs)
    if not said.repeat:
        print(table(fingerprints(rows)))
    print(f"{len(rows)} mutants, {len(problems)} problems")
    return 1 if problems else 0


def grade_all(paths: list[Path], jobs: int, results: Path | None, repeat: int) -> list[Row]:
    """`repeat` 0: once, with the whole lab."""

    def one(path: Path) -> Row:
        kept = results / path.parent.name / f"{path.stem}.json" if results else None
        if kept and kept.is_file():
            return path, Graded(**json.loads(kept.read_text(encoding="utf-8")))
        with tempfile.TemporaryDirectory() as directory:
            graded = grade_mutant(path, Path(directory), whole=not repeat, jobs=1, repeat=max(1, repeat))
        if kept and not graded.too_busy:
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_text(json.dumps(asdict(graded)), encoding="utf-8")
        problem = complaint(read_mutant(path), graded)
        print(f"{path.parent.name}/{path.stem}" + (f": {problem}" if problem else ""), file=sys.stderr)
        return path, graded

    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(one, paths))


def idle(rows: list[Row], labs: list[str]) -> list[str]:
    """A complaint for each graded test that catches nothing."""
    caught = {name for _, graded in rows for name, test in graded.tests.items() if test["status"] != "passed"}
    tests = [test for lab in labs for test in load(KIT, lab).tests]
    return [f"{test.name} catches no mutant" for test in tests if test.name not in caught]


def document(sections: Mapping[str, str]) -> str:
    """The whole document, of the sections of labs."""
    return HEAD + "".join(sections[lab] for lab in LABS if lab in sections)


def written() -> dict[str, str]:
    """The sections of the document that is there."""
    text = DOCUMENT.read_text(encoding="utf-8") if DOCUMENT.is_file() else ""
    return {
        lab: found for lab in LABS for found in re.findall(rf"^\n## {lab}\n.*?(?=^\n## |\Z)", text, SECTION)
    }


def section(lab: str, rows: Sequence[Row]) -> str:
    lines = [
        "",
        f"## {lab}",
        "",
        "| wrong solution | caught by | the first says | s |",
        "|---|---|---|---|",
    ]
    return "\n".join([*lines, *(_row(path, graded) for path, graded in rows)]) + "\n"


def _row(path: Path, graded: Graded) -> str:
    mutant = read_mutant(path)
    failed = [name for name, test in graded.tests.items() if test["status"] != "passed"]
    order = [*mutant.caught_by, *(name for name in failed if name not in mutant.caught_by)]
    names = ", ".join(f"**{name}**" if name in mutant.caught_by else name for name in order)
    said = str(graded.tests[mutant.caught_by[0]]["message"]).split("\n")[0].replace("|", "\\|")[:100]
    seconds = sum(float(test["seconds"]) for test in graded.tests.values())
    return f"| {mutant.title} (`{path.stem}`) | {names.replace('test_', '')} | {said} | {seconds:.0f} |"


if __name__ == "__main__":
    sys.exit(main())

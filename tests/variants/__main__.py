"""``python -m tests.variants [lab01/one_loop ...]``: grades other right answers, all of them unless some are named.

``--keep DIR`` only puts the first one together there, so that one can look at it and grade it by hand.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.mutants.mutant import grade
from tests.variants.variant import assemble, variants


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.variants", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="LAB/NAME")
    parser.add_argument("--only", action="append", default=[], help="a graded test")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--keep", type=Path)
    said = parser.parse_args()
    chosen = [one for one in variants() if not said.names or one.name in said.names]
    if not chosen:
        parser.error(f"there are only {', '.join(one.name for one in variants())}")
    if said.keep:
        assemble(chosen[0], said.keep)
        return 0
    wrong = 0
    for one in chosen:
        with tempfile.TemporaryDirectory() as directory:
            assemble(one, Path(directory, "submission"))
            graded = grade(
                one.lab, Path(directory, "submission"), said.only, Path(directory, "results.json"), said.jobs
            )
        failed = [name for name, test in graded.tests.items() if test["status"] != "passed"]
        print(f"{one.name}: {one.title}: {', '.join(failed) if failed else 'all passed'}", flush=True)
        if failed:
            wrong += 1
            print(graded.printed)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

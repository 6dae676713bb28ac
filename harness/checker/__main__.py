"""`python -m harness.checker HISTORY.jsonl`: judge one recorded history and explain the verdict.

Exit status: 0 valid, 1 invalid, 2 usage or an unreadable history, 3 unknown.
"""

from __future__ import annotations

import argparse
import os
import sys

from harness.checker.explain import explain
from harness.checker.verdict import Judgement, check
from harness.history import History, HistoryError

EXIT = {Judgement.VALID: 0, Judgement.INVALID: 1, Judgement.UNKNOWN: 3}
EXIT_USAGE = 2


def main(arguments: list[str] | None = None) -> int:
    """Print the verdict; the exit status says it too."""
    parser = argparse.ArgumentParser(
        prog="python -m harness.checker", description="Judge a history by GFS's promises."
    )
    parser.add_argument("history", metavar="HISTORY.jsonl")
    path: str = parser.parse_args(arguments).history
    try:
        history = History.load(path)
    except HistoryError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_USAGE
    verdict = check(history)
    try:
        print(explain(verdict, history), flush=True)
    except BrokenPipeError:
        # The reader has left, say `head`; the interpreter must not stumble over it again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return EXIT[verdict.judgement]


if __name__ == "__main__":
    sys.exit(main())

"""`python -m harness.checker HISTORY.jsonl [--graph FILE.dot]`: judge one recorded history and explain the verdict.

Exit status: 0 valid, 1 invalid, 2 usage or an unreadable history, 3 unknown.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from harness.checker.drawing import dot
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
    parser.add_argument(
        "--graph",
        metavar="FILE.dot",
        type=Path,
        help="write the witnesses as a graph, for `dot -Tsvg`; those of stricter models when the history is valid",
    )
    given = parser.parse_args(arguments)
    path: str = given.history
    graph: Path | None = given.graph
    try:
        history = History.load(path)
    except HistoryError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_USAGE
    verdict = check(history)
    if graph is not None:
        try:
            graph.write_text(dot(verdict.anomalies or verdict.standing.shortfalls), encoding="utf-8")
        except OSError as error:
            print(f"error: {graph}: cannot be written ({error.strerror})", file=sys.stderr)
            return EXIT_USAGE
    try:
        print(explain(verdict, history), flush=True)
    except BrokenPipeError:
        # The reader has left, say `head`; the interpreter must not stumble over it again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return EXIT[verdict.judgement]


if __name__ == "__main__":
    sys.exit(main())

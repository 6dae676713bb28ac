"""Small changes to the reference, at random: which of them does no graded test notice?

    python -m tests.small_changes --lab lab03                 100 of them, each against the whole lab
    python -m tests.small_changes --lab lab03 --skip 100      the next 100; --seed N puts all of them in another order

A change leaves out a statement, turns a condition or a comparison round, leaves out a part of a condition, or makes a
sum or a number a little wrong. One that survives does no harm, or shows what the graded tests do not look at: that takes a
person to tell, and most do no harm. What is a gap becomes a stricter test, and a mutant (tests/mutants) that only it catches.
"""

from __future__ import annotations

import argparse
import ast
import random
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from harness.workspace import LABS
from tests.mutants.mutant import KIT, grade, reference

_OTHER: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_BODIES = ("body", "orelse", "finalbody")
_LEFT_OUT = (ast.Expr, ast.Assign, ast.AugAssign, ast.Raise, ast.Delete)


@dataclass(frozen=True)
class Edit:
    """A place in a tree: its line, its source, and what changes it, which returns its source from then on."""

    line: int
    before: str
    apply: Callable[[], str]


@dataclass(frozen=True)
class Change:
    """The `number`-th edit of a file below solutions/."""

    file: str
    number: int

    def made(self, text: str) -> tuple[str, str]:
        """What it is, in words; and the file's new text."""
        tree = ast.parse(text)
        edit = list(edits(tree))[self.number]
        what = f"{self.file}:{edit.line}  {edit.before:.150} -> {edit.apply():.150}"
        return what, ast.unparse(ast.fix_missing_locations(tree))


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.small_changes", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--lab", required=True, choices=list(LABS))
    parser.add_argument("--count", type=int, default=100, help="how many changes (100)")
    parser.add_argument("--skip", type=int, default=0, help="how many not to try again")
    parser.add_argument("--seed", type=int, default=1, help="in which order (1)")
    parser.add_argument("--jobs", type=int, default=2, help="gradings side by side (2)")
    said = parser.parse_args()
    changes = changes_of(said.lab)
    random.Random(said.seed).shuffle(changes)
    chosen = changes[said.skip : said.skip + said.count]

    def survives(change: Change) -> bool:
        what, noticed = judged(said.lab, change)
        if not noticed:
            print(what, flush=True)
        return not noticed

    with ThreadPoolExecutor(said.jobs) as pool:
        survived = sum(pool.map(survives, chosen))
    print(f"{survived} of {len(chosen)} were not noticed; {said.lab} has {len(changes)} such changes")
    return 0


def changes_of(lab: str) -> list[Change]:
    """All changes to what this lab's students write."""
    solutions = KIT / "solutions"
    return [
        Change(str(path.relative_to(solutions)), number)
        for path in sorted((solutions / LABS[lab].root).rglob("*.py"))
        for number in range(len(list(edits(ast.parse(path.read_text(encoding="utf-8"))))))
    ]


def judged(lab: str, change: Change) -> tuple[str, bool]:
    """What a change is, and whether any graded test fails with it."""
    with tempfile.TemporaryDirectory() as directory:
        path = reference(Path(directory)) / change.file
        what, text = change.made(path.read_text(encoding="utf-8"))
        path.write_text(text, encoding="utf-8")
        graded = grade(lab, Path(directory) / "solutions", (), Path(directory) / "results.json", jobs=1)
    return what, any(test["status"] != "passed" for test in graded.tests.values())


def edits(tree: ast.AST) -> Iterator[Edit]:
    """All that can be changed; of one tree only one may be applied."""
    for node in ast.walk(tree):
        match node:
            case ast.If() | ast.While() | ast.IfExp():
                yield _edit(node.test, lambda node=node: _negate(node))
            case ast.Compare() if type(node.ops[0]) in _OTHER:
                yield _edit(node, lambda node=node: _turn(node))
            case ast.BoolOp():
                for value in node.values:
                    yield _edit(node, lambda node=node, value=value: _leave_out_value(node, value))
            case ast.BinOp(op=ast.Add() | ast.Sub()):
                yield _edit(node, lambda node=node: _subtract(node))
            case ast.Constant() if type(node.value) is int:
                yield _edit(node, lambda node=node: _increase(node))
            case _:
                pass
        if isinstance(node, ast.Module | ast.ClassDef):
            continue
        for name in _BODIES:
            body = getattr(node, name, None)
            for statement in body if isinstance(body, list) else []:
                if isinstance(statement, _LEFT_OUT) and not _is_text(statement):
                    yield _edit(statement, lambda body=body, statement=statement: _leave_out(body, statement))


def _edit(node: ast.expr | ast.stmt, change: Callable[[], ast.AST]) -> Edit:
    return Edit(node.lineno, ast.unparse(node), lambda: ast.unparse(change()))


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _negate(node: ast.If | ast.While | ast.IfExp) -> ast.AST:
    node.test = ast.UnaryOp(ast.Not(), node.test)
    return node.test


def _turn(node: ast.Compare) -> ast.AST:
    node.ops[0] = _OTHER[type(node.ops[0])]()
    return node


def _leave_out_value(node: ast.BoolOp, value: ast.expr) -> ast.AST:
    node.values.remove(value)
    return node


def _subtract(node: ast.BinOp) -> ast.AST:
    node.op = ast.Sub() if isinstance(node.op, ast.Add) else ast.Add()
    return node


def _increase(node: ast.Constant) -> ast.AST:
    assert isinstance(node.value, int)
    node.value += 1
    return node


def _leave_out(body: list[ast.stmt], statement: ast.stmt) -> ast.AST:
    nothing = ast.Pass()
    body[body.index(statement)] = nothing
    return nothing


if __name__ == "__main__":
    sys.exit(main())

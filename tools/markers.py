"""Markers: which code of a reference package is for the student to write.

A marker is a comment of its own line, the first thing in a body after the docstring:

    # lab 1 part B: one sentence that helps at midnight     the body is the student's to write
    # lab 1 part B                                          a private helper, which vanishes

A hint goes on over all comment lines that directly follow; a blank line ends it. Whatever has no marker is
given to the student as it is. Anything that looks like a marker and is none is a problem, never ignored:
a typing error here would give the solution away.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import cast

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef

_MARKER = re.compile(r"# lab (\d+) part ([A-Z])(?:: (\S.*))?")
_LOOKS_LIKE_ONE = re.compile(r"#+\s*lab\s*\d+\s*,?\s*part\b", re.IGNORECASE)


class Fate(Enum):
    """What becomes of a marked definition in the starter."""

    WRITE = "its body is the student's to write"
    VANISH = "it is not in the starter"


@dataclass(frozen=True)
class Mark:
    """One marked definition; `body_line` is the first line of its body after the docstring."""

    node: Definition
    fate: Fate
    lab: int
    part: str
    hint: str
    body_line: int

    @property
    def message(self) -> str:
        """What the starter's NotImplementedError says."""
        return f"lab {self.lab} part {self.part}: {self.hint}"


@dataclass(frozen=True)
class Comment:
    column: int
    text: str
    alone: bool


@dataclass(frozen=True)
class Module:
    """A parsed source text with what `ast` leaves out: its lines, and the comments by line number."""

    tree: ast.Module
    lines: list[str]
    comments: dict[int, Comment]

    @classmethod
    def parse(cls, source: str) -> Module:
        tree = ast.parse(source)  # first: its complaints are the clearer ones
        lines = source.splitlines()
        comments: dict[int, Comment] = {}
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type == tokenize.COMMENT:
                row, column = token.start
                alone = not lines[row - 1][:column].strip()
                comments[row] = Comment(column, token.string, alone)
        return cls(tree, lines, comments)

    def blank(self, line: int) -> bool:
        """True for an empty line; False outside the text."""
        return 1 <= line <= len(self.lines) and not self.lines[line - 1].strip()


def find_marks(module: Module, lab: int) -> tuple[list[Mark], list[str]]:
    """All marks of a module of lab `lab`, in order, and everything that is wrong with them, as sentences."""
    marks: list[Mark] = []
    problems: list[str] = []
    consumed: set[int] = set()
    for node, outer in _definitions(module.tree, None):
        line = _marker_line(module, node)
        if line is None:
            continue
        consumed.add(line)
        mark = _read(module, node, line)
        marks.append(mark)
        problems += [f"line {line}: {text}" for text in _problems(mark, node, outer, lab, module)]
    for line, comment in module.comments.items():
        if line not in consumed and _LOOKS_LIKE_ONE.match(comment.text):
            problems.append(
                f"line {line}: `{comment.text}` is no marker: write `# lab {lab} part B: hint` as the first "
                "thing in the body of a function or private class, after the docstring"
            )
    return marks, problems


def blocks(tree: ast.AST) -> Iterator[list[ast.stmt]]:
    """Every list of statements below `tree`, itself included."""
    for node in ast.walk(tree):
        for field in ("body", "orelse", "finalbody"):
            block: object = getattr(node, field, None)
            if isinstance(block, list) and block:  # a lambda's body is no list
                yield cast("list[ast.stmt]", block)


def is_private(name: str) -> bool:
    """Helpers begin with an underscore; `__init__` and its kind are public."""
    return name.startswith("_") and not (name.startswith("__") and name.endswith("__"))


def _definitions(node: ast.AST, outer: Definition | None) -> Iterator[tuple[Definition, Definition | None]]:
    """Every definition with the one around it, in the order of the text."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Definition):
            yield child, outer
            yield from _definitions(child, child)
        else:
            yield from _definitions(child, outer)


def _marker_line(module: Module, node: Definition) -> int | None:
    """The line of the definition's marker: the first comment of its body, when it is one."""
    line = _body_line(module, node)
    while module.blank(line):
        line += 1
    comment = module.comments.get(line)
    if comment is None or not comment.alone or comment.column != node.body[0].col_offset:
        return None
    return line if _MARKER.fullmatch(comment.text) else None


def _read(module: Module, node: Definition, line: int) -> Mark:
    found = _MARKER.fullmatch(module.comments[line].text)
    assert found is not None
    hint: str = found[3] or ""
    following = line + 1
    while hint and (comment := module.comments.get(following)) is not None and comment.alone:
        hint += " " + comment.text.lstrip("#").strip()
        following += 1
    vanishes = not hint and is_private(node.name)
    fate = Fate.VANISH if vanishes else Fate.WRITE
    return Mark(node, fate, int(found[1]), found[2], " ".join(hint.split()), _body_line(module, node))


def _problems(
    mark: Mark, node: Definition, outer: Definition | None, lab: int, module: Module
) -> Iterator[str]:
    if mark.lab != lab:
        yield f"the marker of {node.name} says lab {mark.lab}, and this is lab {lab}"
    if outer is not None and _marker_line(module, outer) is not None:
        yield f"{node.name} is marked inside {outer.name}, which is marked already"
    if isinstance(node, ast.ClassDef):
        if mark.fate is Fate.WRITE:
            yield f"the class {node.name} cannot be marked so: mark its methods, or make it private, without hint"
        return
    if mark.fate is Fate.WRITE and not mark.hint:
        yield f"the public function {node.name} needs a hint: `# lab {lab} part {mark.part}: ...`"
    if mark.fate is Fate.WRITE and not node.name.startswith("__") and ast.get_docstring(node) is None:
        yield f"{node.name} needs a docstring: it is all the student is told"


def _body_line(module: Module, node: Definition) -> int:
    first = node.body[0]
    if ast.get_docstring(node, clean=False) is not None:
        return (first.end_lineno or first.lineno) + 1
    return _header_end(module, node) + 1


def _header_end(module: Module, node: Definition) -> int:
    """The line of the colon that ends `def ...:`; comments may stand between the arguments before it."""
    text = "\n".join(module.lines[node.lineno - 1 : node.end_lineno]) + "\n"
    depth = 0
    for token in tokenize.generate_tokens(io.StringIO(text.lstrip()).readline):
        if token.type == tokenize.OP:
            depth += (token.string in "([{") - (token.string in ")]}")
            if token.string == ":" and depth == 0:
                return node.lineno + token.start[0] - 1
    raise AssertionError("a definition has a colon")

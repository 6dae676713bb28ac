"""From the reference's source text to the starter's, without touching what is not marked.

Works on lines, with positions from `ast`: comments and formatting of given code stay as they are, and the
result is formatted if the source was. Imports that only removed code used go too, so that the first thing
a student's linter says is nothing.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from tools.imports import prune
from tools.markers import Definition, Fate, Mark, Module, blocks, find_marks

_HEADING = re.compile(r"# ?-{2,}")
LINE_LENGTH = 110  # as in pyproject.toml, which Python 3.10 cannot read without help


@dataclass(frozen=True)
class Starter:
    """The starter of one module; `problems` are sentences, and with any the text is of no use."""

    text: str
    marks: list[Mark]
    problems: list[str]

    @property
    def vanished(self) -> set[str]:
        return {mark.node.name for mark in self.marks if mark.fate is Fate.VANISH}

    @property
    def to_write(self) -> list[Mark]:
        return [mark for mark in self.marks if mark.fate is Fate.WRITE]


def make_starter(
    source: str, lab: int, name: str, is_written: Callable[[Mark], bool] = lambda mark: False
) -> Starter:
    """The starter of the module `name` of lab `lab`; what `is_written` stays as the solution has it."""
    try:
        module = Module.parse(source)
    except SyntaxError as error:
        return Starter("", [], [f"line {error.lineno}: the solution is no Python: {error.msg}"])
    marks, problems = find_marks(module, lab)
    if problems:
        return Starter("", marks, problems)
    marks = [mark for mark in marks if not is_written(mark)]
    if not marks:
        return Starter(source, marks, [])
    text = prune(_apply(module, marks), source, LINE_LENGTH)
    made = Starter(text, marks, [])
    try:
        compile(text, name, "exec", dont_inherit=True)
    except SyntaxError as error:
        made.problems.append(f"the starter would be no Python, line {error.lineno}: {error.msg}")
    else:
        made.problems.extend(_dangling(text, made.vanished))
    return made


def _apply(module: Module, marks: list[Mark]) -> str:
    """The text with bodies replaced and helpers gone."""
    dropped: set[int] = set()
    added: dict[int, list[str]] = {}
    for mark in marks:
        if mark.fate is Fate.WRITE:
            dropped.update(range(mark.body_line, _last_line(module, mark.node) + 1))
            added[mark.body_line] = _raise_lines(mark.message, mark.node.body[0].col_offset)
    gone: set[ast.stmt] = {mark.node for mark in marks if mark.fate is Fate.VANISH}
    for block in blocks(module.tree):
        _drop_from_block(module, block, gone, dropped, added)
    lines: list[str] = []
    for number, line in enumerate(module.lines, start=1):
        lines += added.get(number, [])
        if number not in dropped:
            lines.append(line)
    return "\n".join(lines).rstrip("\n") + "\n"


def _drop_from_block(
    module: Module,
    block: list[ast.stmt],
    gone: set[ast.stmt],
    dropped: set[int],
    added: dict[int, list[str]],
) -> None:
    if not gone.intersection(block):
        return
    _drop_headings(module, block, gone, dropped)
    emptied = gone.issuperset(block)
    for index, node in enumerate(block):
        if node not in gone:
            continue
        first, last = _first_line(module, node), _last_line(module, node)
        while module.blank(first - 1):
            first -= 1
        if gone.issuperset(block[:index]) and not emptied:  # no blank lines at the start of a block
            while module.blank(last + 1):
                last += 1
        dropped.update(range(first, last + 1))
    if emptied and block[0].col_offset:
        added[_first_line(module, block[0])] = [" " * block[0].col_offset + "pass"]


def _drop_headings(module: Module, block: list[ast.stmt], gone: set[ast.stmt], dropped: set[int]) -> None:
    """Comments such as `# ---- threads` go when nothing of their section is left."""
    column, last = block[0].col_offset, _last_line(module, block[-1])
    headings = [
        line
        for line, comment in module.comments.items()
        if comment.alone and comment.column == column and _HEADING.match(comment.text)
        if block[0].lineno < line < last
    ]
    for line, end in pairwise([*headings, last + 1]):
        section = [node for node in block if line < node.lineno < end]
        if section and gone.issuperset(section):
            dropped.add(line)
            while module.blank(line - 1):
                line -= 1
                dropped.add(line)


def _first_line(module: Module, node: ast.stmt) -> int:
    """Where a definition begins, its decorators and the comments that lead it included."""
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    first = min([node.lineno, *(decorator.lineno for decorator in decorators)])
    while (comment := module.comments.get(first - 1)) is not None:
        if not comment.alone or comment.column != node.col_offset:
            break
        first -= 1
    return first


def _last_line(module: Module, node: ast.stmt) -> int:
    """Where a definition ends, with the comments below its last statement that still belong to it."""
    last = line = node.end_lineno or node.lineno
    while module.blank(line + 1) or line + 1 in module.comments:
        line += 1
        comment = module.comments.get(line)
        if comment is None:
            continue
        if not comment.alone or comment.column <= node.col_offset:
            break
        last = line
    return last


def _raise_lines(message: str, indent: int) -> list[str]:
    margin = " " * indent
    flat = f"{margin}raise NotImplementedError({_quoted(message)})"
    if len(flat) <= LINE_LENGTH:
        return [flat]
    inner = margin + "    "
    pieces = [message]
    if len(inner + _quoted(message)) > LINE_LENGTH:
        room = LINE_LENGTH - len(inner) - 8  # two quotes, a space, and some characters that need a backslash
        *most, last = textwrap.wrap(message, room, break_on_hyphens=False)
        pieces = [*(f"{piece} " for piece in most), last]
    return [
        f"{margin}raise NotImplementedError(",
        *(f"{inner}{_quoted(piece)}" for piece in pieces),
        f"{margin})",
    ]


def _quoted(text: str) -> str:
    """A string literal with the quotes a formatter would choose."""
    quote = "'" if text.count('"') > text.count("'") else '"'
    escaped = text.replace("\\", "\\\\").replace(quote, "\\" + quote)
    return f"{quote}{escaped}{quote}"


def _dangling(text: str, vanished: set[str]) -> Iterator[str]:
    """What is left, in code, hints and docstrings, of helpers that are not given."""
    defined = {node.name for node in ast.walk(ast.parse(text)) if isinstance(node, Definition)}
    for number, line in enumerate(text.splitlines(), start=1):
        for name in sorted(vanished - defined):
            if re.search(rf"\b{name}\b", line):
                yield f"{name} vanishes, and the starter names it on line {number}: {line.strip()}"

"""Takes out of a text the imports that it no longer needs.

An import goes when the original used it and the new text does not; what the original imported without
using it (to pass it on) stays. Uses are names, dotted names, `__all__`, and the annotations that are
written as strings.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tools.markers import blocks

_Import = ast.Import | ast.ImportFrom


def prune(text: str, original: str, line_length: int) -> str:
    """`text` without the imports that only `original` used."""
    used_before = set(_uses(ast.parse(original)))
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return text  # the caller says so, with its line
    while True:
        change = _next_change(tree, used_before)
        if change is None:
            return text
        text = _rewritten(text, *change, line_length)
        tree = ast.parse(text)


def _next_change(tree: ast.Module, used_before: set[str]) -> tuple[ast.stmt, list[ast.alias]] | None:
    """The next statement to change, with the names it keeps."""
    needless = used_before - set(_uses(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and _guards_nothing(node):
            return node, []
        if not isinstance(node, _Import):
            continue
        kept = [alias for alias in node.names if (alias.asname or alias.name) not in needless]
        if len(kept) < len(node.names):
            return node, kept
    return None


def _guards_nothing(node: ast.If) -> bool:
    """`if TYPE_CHECKING:` whose imports are all gone."""
    guard = isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    return guard and not node.orelse and all(isinstance(item, ast.Pass) for item in node.body)


def _uses(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield from _prefixes(node)
        elif isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign) and _is_all(node):
            yield from _strings(node)
        for annotation in _quoted_types(node):
            yield from _uses_in_string(annotation)


def _prefixes(node: ast.Attribute) -> Iterator[str]:
    """`a.b.c` uses `a.b.c`; the shorter ones are nodes of their own."""
    parts: list[str] = []
    inner: ast.expr = node
    while isinstance(inner, ast.Attribute):
        parts.append(inner.attr)
        inner = inner.value
    if isinstance(inner, ast.Name):
        yield ".".join([inner.id, *reversed(parts)])


def _is_all(node: ast.Assign | ast.AugAssign | ast.AnnAssign) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets)


def _strings(node: ast.AST) -> Iterator[str]:
    for inner in ast.walk(node):
        if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
            yield inner.value


def _quoted_types(node: ast.AST) -> Iterator[str]:
    for field in ("annotation", "returns"):
        annotation = getattr(node, field, None)
        if annotation is not None:
            yield from _strings(annotation)
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "cast"
        and node.args
    ):
        yield from _strings(node.args[0])


def _uses_in_string(annotation: str) -> Iterator[str]:
    try:
        expression = ast.parse(annotation, mode="eval")
    except SyntaxError:
        return
    for node in ast.walk(expression):
        if isinstance(node, ast.Name):
            yield node.id


def _rewritten(text: str, node: ast.stmt, kept: list[ast.alias], line_length: int) -> str:
    lines = text.splitlines()
    first, last = node.lineno - 1, node.end_lineno or node.lineno
    before, after = lines[:first], lines[last:]
    if kept:
        assert isinstance(node, _Import)
        return "\n".join([*before, *_import_lines(node, kept, line_length), *after]) + "\n"
    if _alone_in_block(text, node):
        return "\n".join([*before, " " * node.col_offset + "pass", *after]) + "\n"
    blanks_before = _leading_blanks(before[::-1])
    blanks_after = _leading_blanks(after)
    if blanks_before and blanks_after:  # it stood alone: one gap instead of two
        gap = [""] * max(blanks_before, blanks_after)
        before, after = before[: len(before) - blanks_before], [*gap, *after[blanks_after:]]
    return "\n".join([*before, *after]).strip("\n") + "\n"


def _import_lines(node: _Import, kept: list[ast.alias], line_length: int) -> list[str]:
    margin = " " * node.col_offset
    names = [f"{alias.name} as {alias.asname}" if alias.asname else alias.name for alias in kept]
    if isinstance(node, ast.Import):
        return [f"{margin}import {', '.join(names)}"]
    start = f"{margin}from {'.' * node.level}{node.module or ''} import "
    if len(start + ", ".join(names)) <= line_length:
        return [start + ", ".join(names)]
    return [f"{start}(", *(f"{margin}    {name}," for name in names), f"{margin})"]


def _alone_in_block(text: str, node: ast.stmt) -> bool:
    """True when the block around the statement would be empty without it."""
    if not node.col_offset:
        return False
    return any([item.lineno for item in block] == [node.lineno] for block in blocks(ast.parse(text)))


def _leading_blanks(lines: list[str]) -> int:
    return next((count for count, line in enumerate(lines) if line.strip()), len(lines))

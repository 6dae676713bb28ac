"""What a graded test claims: a title, a hint and the place to read.

``@claim("A duplicate request runs once", hint="...", read="labs/01_rpc/README.md#part-c")`` stands above
each graded test. The reports need the titles even when a test file cannot be imported, so ``read_claims``
takes them from the source text without running it: the arguments must be plain strings.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

_Test = TypeVar("_Test", bound=Callable[..., object])


@dataclass(frozen=True)
class Claim:
    """The title is the claim; ``hint`` and ``read`` help whoever fails it."""

    title: str
    hint: str = ""
    read: str = ""


@dataclass(frozen=True)
class FoundClaim:
    """A claim with the place where it stands."""

    claim: Claim
    path: Path
    line: int


class ClaimError(Exception):
    """A graded test file says its claims in a way that cannot be read; one sentence."""


def claim(title: str, *, hint: str = "", read: str = "") -> Callable[[_Test], _Test]:
    """Say what a graded test claims."""
    said = Claim(title, hint, read)

    def attach(test: _Test) -> _Test:
        test.__dict__["claim"] = said
        return test

    return attach


def read_claims(tests: Path) -> dict[str, FoundClaim]:
    """Test name -> claim, of all ``test_*.py`` files in the directory ``tests``.

    Raises ``ClaimError`` for a claim that is not made of plain strings, and for a name used twice. A file
    that is not Python is passed over here; collecting it will report it.
    """
    found: dict[str, FoundClaim] = {}
    for path in sorted(tests.glob("test_*.py")):
        for name, one in _claims_of(path):
            if name in found:
                raise ClaimError(f"{path}:{one.line}: {name} is already a test in {found[name].path}")
            found[name] = one
    return found


def _claims_of(path: Path) -> list[tuple[str, FoundClaim]]:
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, OSError):
        return []
    return [
        (node.name, FoundClaim(_evaluate(call, path), path, node.lineno))
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
        for call in node.decorator_list
        if isinstance(call, ast.Call) and ast.unparse(call.func) in ("claim", "grading.claim")
    ]


def _evaluate(call: ast.Call, path: Path) -> Claim:
    where = f"{path}:{call.lineno}"
    try:
        (title,) = (ast.literal_eval(value) for value in call.args)
        named = {word.arg or "**": ast.literal_eval(word.value) for word in call.keywords}
        said = Claim(title, **named)
    except (ValueError, TypeError) as problem:
        raise ClaimError(f"{where}: @claim takes a title, hint= and read=, all plain strings") from problem
    if not all(isinstance(text, str) for text in (said.title, said.hint, said.read)) or not said.title:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ClaimError(f"{where}: @claim takes a title, hint= and read=, all plain strings")
    return said

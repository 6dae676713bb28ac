"""Imports of removed code go; what is given, passed on or named in a string stays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import labkit.errors

__all__ = ["Mapping", "ask"]


def ask(call: Callable[[], Any]) -> int:
    """Ask."""
    raise NotImplementedError("lab 1 part B: unpack")


def given() -> Any:
    """Given."""
    return cast("Callable[[], int]", labkit.errors)

"""What a program is: the packages it needs, and how to start it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from labkit import Context

Commands = Mapping[str, Callable[..., Any]]
Packages = Mapping[str, ModuleType]


@dataclass(frozen=True)
class Program:
    packages: tuple[str, ...]
    start: Callable[[Context, Packages], Commands]

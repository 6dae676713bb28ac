"""A server that needs no commands: the master, its shadow, and the chunkserver."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness.drivers.program import Commands, Packages
from labkit import Context


def start_only(package: str, function: str = "start") -> Callable[[Context, Packages], Commands]:
    def start(context: Context, packages: Packages) -> Commands:
        service: Any = getattr(packages[package], function)(context)
        return {"stop": lambda: stop(service)}

    return start


def stop(service: Any) -> None:
    service.stop()

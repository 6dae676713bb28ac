"""Lab 4 part D's node: fetches the sequences of events a student wrote, which are plain data."""

from __future__ import annotations

import importlib
from typing import Any

from harness.drivers.program import Commands, Packages
from labkit import Context


def start(context: Context, packages: Packages) -> Commands:
    scenarios: Any = importlib.import_module(f"{packages['consistency'].__name__}.scenarios")

    def steps(name: str) -> Any:
        return getattr(scenarios, name)()

    return {"steps": steps}

"""Measurements a student reruns: `python3 grader.py measure lab01`. One module per lab, with one function:

    def tables(run: Run) -> Iterator[Table]

Tables come out one by one, so that a long measurement shows something early.
"""

from __future__ import annotations

import importlib
import importlib.util

from harness.measurements.table import Cell, Run, Table, Tables

__all__ = ["Cell", "Run", "Table", "measurements_of"]


def measurements_of(lab: str) -> Tables | None:
    """The measurements of a lab; None when it has none."""
    name = f"harness.measurements.{lab}"
    if importlib.util.find_spec(name) is None:
        return None
    tables: Tables = importlib.import_module(name).tables
    return tables

"""Fixtures of the tests of lab 3's reference."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chunkserver.world import SOLUTIONS, Cell


@pytest.fixture(autouse=True)
def lab(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """`lab("leases")` is the module chunkserver.leases."""
    for root in ("01_rpc", "03_chunkserver"):
        monkeypatch.syspath_prepend(str(SOLUTIONS / root))
    return lambda module: importlib.import_module(f"chunkserver.{module}" if module else "chunkserver")


@pytest.fixture
def cell(lab: Any, tmp_path: Path) -> Iterator[Cell]:
    made = Cell(lab, tmp_path)
    yield made
    made.stop()


@pytest.fixture
def trio(cell: Cell) -> Cell:
    """Chunkservers a, b and c with chunk 7 at version 2; a holds the lease. No master answers."""
    for name in "abc":
        cell.start(name)
        cell.call(name, "create_chunk", handle=7, version=1)
    cell.lease(2, "a", "b", "c")
    return cell

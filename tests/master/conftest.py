"""Fixtures of the tests of lab 2's reference."""

from __future__ import annotations

import importlib
from types import SimpleNamespace
from typing import Any

import pytest

from tests.master.world import MODULES, SOLUTIONS


@pytest.fixture(autouse=True)
def lab(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    for root in ("01_rpc", "02_gfs_master"):
        monkeypatch.syspath_prepend(str(SOLUTIONS / root))
    modules = {name: importlib.import_module(f"gfs_master.{name}") for name in MODULES}
    return SimpleNamespace(**modules, start=importlib.import_module("gfs_master").start)


@pytest.fixture
def leases(lab: SimpleNamespace) -> Any:
    """One lease of chunk 1 at version 2, of `a` with `b`: heard at 0, so until 60."""
    leases = lab.leases.Leases(60.0)
    leases.offer(1, 2, "a", ["b"], 0.0)
    return leases

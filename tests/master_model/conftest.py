"""Fixtures of lab 2's reference against a model."""

from __future__ import annotations

import importlib
from types import SimpleNamespace

import pytest

from tests.master_model.models import SOLUTIONS


@pytest.fixture(autouse=True)
def lab(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    for root in ("01_rpc", "02_gfs_master"):
        monkeypatch.syspath_prepend(str(SOLUTIONS / root))
    names = (
        "metadata",
        "creation",
        "granting",
        "heartbeats",
        "chunkservers",
        "operations",
        "leases",
        "oplog",
        "locks",
        "rereplication",
        "snapshot",
    )
    modules = {name: importlib.import_module(f"gfs_master.{name}") for name in names}
    # The model has one thread: what happens meanwhile is drawn.
    monkeypatch.setattr(modules["snapshot"], "in_parallel", lambda tasks: [task() for task in tasks])
    return SimpleNamespace(**modules)

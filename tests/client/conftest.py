"""Fixtures of the tests of lab 4's reference: the package, and the cluster it talks to."""

from __future__ import annotations

import importlib
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from labkit import Context
from labkit.disk import OsDisk
from labkit.network import DirectNetwork
from tests.client.net import Net
from tests.client.world import LIMITS, DirectRpc, StillClock, World

SOLUTIONS = Path(__file__).resolve().parents[2] / "solutions"


@pytest.fixture(autouse=True)
def lab(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """`lab("records")` is the module consistency.records."""
    for root in ("01_rpc", "02_gfs_master", "03_chunkserver", "04_consistency"):
        monkeypatch.syspath_prepend(str(SOLUTIONS / root))
    return lambda module: importlib.import_module(f"consistency.{module}" if module else "consistency")


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def context(clock: StillClock, tmp_path: Path) -> Context:
    network = DirectNetwork({}.__getitem__, lambda port: None)
    config = {"master": "master"}
    return Context("client", config, clock, OsDisk(tmp_path), network, random.Random(3), LIMITS)


@pytest.fixture
def client(
    lab: Any, world: World, clock: StillClock, context: Context, monkeypatch: pytest.MonkeyPatch
) -> Any:
    lab("")
    monkeypatch.setattr(sys.modules["rpc"], "Client", lambda ctx: DirectRpc(world, clock))
    client = lab("client").Client(context)
    client.create("/f")
    return client


@pytest.fixture
def net(tmp_path: Path) -> Iterator[Net]:
    net = Net(tmp_path)
    yield net
    for node in reversed(net.running):
        node.stop()

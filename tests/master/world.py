"""What the tests of lab 2's reference have in common."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from labkit import Limits

SOLUTIONS = Path(__file__).resolve().parents[2] / "solutions"


MODULES = (
    "chunks",
    "leases",
    "namespace",
    "operations",
    "oplog",
    "placement",
    "replicas",
    "servers",
    "state",
    "steady",
    "turns",
)


LIMITS = Limits()


def table(lab: SimpleNamespace, now: float = 0.0) -> Any:
    servers = lab.servers.Servers(LIMITS, now)
    for moment in range(int(now), int(now) + 30):
        servers.have_had_time(float(moment))
    return servers


def wait_until(condition: Callable[[], Any], seconds: float = 10.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)
    return result

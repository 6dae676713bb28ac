"""Nodes in this process that talk over real sockets, under a clock that runs fast."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from labkit import Context
from labkit.clock import SystemClock
from labkit.disk import OsDisk
from labkit.network import DirectNetwork
from tests.client.world import LIMITS


class QuickClock(SystemClock):
    """Runs `RATE` times as fast as the machine's."""

    RATE = 40.0

    def now(self) -> float:
        return super().now() * self.RATE

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds / self.RATE)

    def wait(self, condition: threading.Condition, timeout: float | None) -> bool:
        return super().wait(condition, None if timeout is None else timeout / self.RATE)

    def wait_for(
        self, condition: threading.Condition, predicate: Callable[[], bool], timeout: float | None
    ) -> bool:
        return super().wait_for(condition, predicate, None if timeout is None else timeout / self.RATE)

    def wait_readable(self, sock: socket.socket, timeout: float | None) -> bool:
        return super().wait_readable(sock, None if timeout is None else timeout / self.RATE)


class Net:
    """Contexts for nodes of this process that find each other by name, and what to stop in the end."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ports: dict[str, int] = {}
        self.clock = QuickClock()
        self.running: list[Any] = []

    def context(self, name: str, **config: Any) -> Context:
        network = DirectNetwork(self.ports.__getitem__, lambda port: self.ports.update({name: port}))
        disk = OsDisk(self.directory / name)
        return Context(
            name, {"master": "master", **config}, self.clock, disk, network, random.Random(name), LIMITS
        )

    def start(self, node: Any) -> Any:
        node.start()
        self.running.append(node)
        return node

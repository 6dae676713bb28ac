"""Lab 1 part E's nodes: the student's Bank, and the student's BankClients."""

from __future__ import annotations

import dataclasses
import importlib
import threading
import time
from typing import Any

from harness.drivers.program import Commands, Packages
from labkit import Context


def start(context: Context, packages: Packages) -> Commands:
    """Serves a bank when the config has its opening balances under "opening"; "slow_sync": real seconds of a sync."""
    bank: Any = importlib.import_module(f"{packages['rpc'].__name__}.bank")
    if "opening" in context.config:
        disk = _SlowDisk(context.disk, context.config.get("slow_sync", 0))
        bank.Bank(dataclasses.replace(context, disk=disk), context.config["opening"]).start()
    return _BankUser(context, bank).commands()


class _SlowDisk:
    """The node's disk, whose files take their time to sync: whatever else may run meanwhile does."""

    def __init__(self, disk: Any, seconds: float) -> None:
        self._disk = disk
        self._seconds = seconds

    def __getattr__(self, name: str) -> Any:
        return getattr(self._disk, name)

    def open(self, name: str, *, create: bool = False) -> Any:
        file = self._disk.open(name, create=create)
        return _SlowFile(file, self._seconds) if self._seconds else file


class _SlowFile:
    def __init__(self, file: Any, seconds: float) -> None:
        self._file = file
        self._seconds = seconds

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def sync(self) -> None:
        time.sleep(self._seconds)
        self._file.sync()


class _BankUser:
    def __init__(self, context: Context, bank: Any) -> None:
        self._context = context
        self._bank = bank
        self._lock = threading.Lock()
        self._clients: dict[str, Any] = {}

    def commands(self) -> Commands:
        return {"transfers": self.transfers, "balances": self.balances}

    def transfers(self, server: str, transfers: list[list[Any]]) -> list[bool]:
        """[source, target, amount] one after the other, and what each came to."""
        client = self._client(server)
        return [client.transfer(source, target, amount) for source, target, amount in transfers]

    def balances(self, server: str) -> dict[str, int]:
        return self._client(server).balances()

    def _client(self, server: str) -> Any:
        with self._lock:
            if server not in self._clients:
                self._clients[server] = self._bank.BankClient(self._context, server)
            return self._clients[server]

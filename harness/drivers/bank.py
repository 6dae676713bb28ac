"""Lab 1 part E's nodes: the student's Bank, and the student's BankClients."""

from __future__ import annotations

import dataclasses
import errno
import importlib
import threading
import time
from collections.abc import Callable
from typing import Any

from harness.drivers.program import Commands, Packages
from labkit import Context

TORN = "the disk has written only a part of it"


def start(context: Context, packages: Packages) -> Commands:
    """Serves a bank when the config has its opening balances under "opening"; "slow_sync": real seconds of a sync."""
    bank: Any = importlib.import_module(f"{packages['rpc'].__name__}.bank")
    if "opening" in context.config:
        disk = _OddDisk(context.disk, context.config.get("slow_sync", 0))
        bank.Bank(dataclasses.replace(context, disk=disk), context.config["opening"]).start()
        return {**_BankUser(context, bank).commands(), "fail_next_write": disk.fail_next_write}
    return _BankUser(context, bank).commands()


class _OddDisk:
    """The node's disk, whose files take their time to sync: whatever else may run meanwhile does. A write may be told to fail."""

    def __init__(self, disk: Any, seconds: float) -> None:
        self._disk = disk
        self.seconds = seconds
        self.fails = False

    def fail_next_write(self) -> None:
        """Half of it will be written, and then it raises OSError."""
        self.fails = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._disk, name)

    def open(self, name: str, *, create: bool = False) -> Any:
        return _OddFile(self._disk.open(name, create=create), self)


class _OddFile:
    def __init__(self, file: Any, disk: _OddDisk) -> None:
        self._file = file
        self._disk = disk

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def append(self, data: Any) -> int:
        return self._write(data, self._file.append)

    def pwrite(self, offset: int, data: Any) -> None:
        self._write(data, lambda part: self._file.pwrite(offset, part))

    def _write(self, data: Any, write: Callable[[Any], Any]) -> Any:
        if not self._disk.fails:
            return write(data)
        self._disk.fails = False
        write(bytes(data)[: len(data) // 2])
        raise OSError(errno.EIO, TORN)

    def sync(self) -> None:
        if self._disk.seconds:
            time.sleep(self._disk.seconds)
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

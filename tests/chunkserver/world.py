"""What the tests of lab 3's reference stand on: a disk in memory that can crash, and servers over real sockets.

The disk crashes at any operation, and lets the unsynced bytes survive in four ways: not at all, all, and either half
of each write. Servers run on a clock that can be hurried, with a scripted master.
"""

from __future__ import annotations

import importlib
import itertools
import math
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from labkit import Context, Limits, errors
from labkit.clock import SystemClock
from labkit.disk import OsDisk, check_name
from labkit.network import DirectNetwork
from labkit.protocol import CATALOGUE

SOLUTIONS = Path(__file__).resolve().parents[2] / "solutions"


BLOCK = 16


CHUNK = 8 * BLOCK


LIMITS = Limits(chunk_size=CHUNK, block_size=BLOCK, buffer_bytes=4 * CHUNK)


class Crash(BaseException):
    """The power fails."""


Change = tuple[int, bytes]  # bytes at an offset; None in place of bytes truncates


SURVIVAL: dict[str, Callable[[int, bytes], Change]] = {
    "lost": lambda offset, data: (offset, b""),
    "kept": lambda offset, data: (offset, data),
    "first half": lambda offset, data: (offset, data[: len(data) // 2]),
    "second half": lambda offset, data: (offset + len(data) // 2, data[len(data) // 2 :]),
}


WHEN = ("before", "half", "after")


class Bytes:
    """One file: what is durable, what a running program sees, and the changes in between."""

    def __init__(self, durable: bytes = b"") -> None:
        self.durable = bytearray(durable)
        self.seen = bytearray(durable)
        self.pending: list[tuple[int, bytes | None]] = []

    @staticmethod
    def change(content: bytearray, offset: int, data: bytes | None) -> None:
        if data is None:
            del content[offset:]
            content.extend(bytes(offset - len(content)))
        elif data:
            content.extend(bytes(max(0, offset - len(content))))
            content[offset : offset + len(data)] = data


class MemoryDisk:
    """A Disk in memory. `crash_at` counts operations that change something, from 1."""

    def __init__(self, files: dict[str, bytes] | None = None) -> None:
        self.files = {name: Bytes(content) for name, content in (files or {}).items()}
        self.operations = 0
        self.crash_at = 0
        self.when = "before"
        self.survival = "lost"
        self.fail_at: dict[int, OSError] = {}
        self.dead = False
        self.before_read: Callable[[], Any] | None = None  # what happens just before the next read

    def survivor(self) -> MemoryDisk:
        """What a restarted node finds."""
        for file in self.files.values():
            self._survive(file)
        return MemoryDisk({name: bytes(file.durable) for name, file in self.files.items()})

    def _survive(self, file: Bytes, survival: str | None = None) -> None:
        for offset, data in file.pending:
            if data is not None:
                Bytes.change(file.durable, *SURVIVAL[survival or self.survival](offset, data))
            elif (survival or self.survival) != "lost":
                Bytes.change(file.durable, offset, None)
        file.pending.clear()

    def step(self, effect: Callable[[], None], half: Callable[[], None] = lambda: None) -> None:
        assert not self.dead
        self.operations += 1
        if error := self.fail_at.get(self.operations):
            half()
            raise error
        if self.operations != self.crash_at:
            effect()
            return
        if self.when != "before":
            (half if self.when == "half" else effect)()
        self.dead = True
        raise Crash

    def open(self, name: str, *, create: bool = False) -> MemoryFile:
        if check_name(name) not in self.files:
            if not create:
                raise FileNotFoundError(2, "no such file", name)
            self.step(lambda: self.files.update({name: Bytes()}))
        return MemoryFile(self, self.files[name])

    def exists(self, name: str) -> bool:
        return name in self.files

    def list(self) -> list[str]:
        return sorted(self.files)

    def remove(self, name: str) -> None:
        self.step(lambda: self.files.__delitem__(name))

    def replace(self, source: str, target: str) -> None:
        self.step(lambda: self.files.update({target: self.files.pop(source)}))


class MemoryFile:
    def __init__(self, disk: MemoryDisk, file: Bytes) -> None:
        self.disk = disk
        self.file = file

    def pread(self, offset: int, length: int) -> bytes:
        if meanwhile := self.disk.before_read:
            self.disk.before_read = None
            meanwhile()
        return bytes(self.file.seen[offset : offset + length])

    def pwrite(self, offset: int, data: Any) -> None:
        data = bytes(data)
        self.disk.step(lambda: self._pend(offset, data), lambda: self._pend(offset, data[: len(data) // 2]))

    def append(self, data: Any) -> int:
        offset = len(self.file.seen)
        self.pwrite(offset, data)
        return offset

    def truncate(self, size: int) -> None:
        self.disk.step(lambda: self._pend(size, None))

    def _pend(self, offset: int, data: bytes | None) -> None:
        Bytes.change(self.file.seen, offset, data)
        self.file.pending.append((offset, data))

    def size(self) -> int:
        return len(self.file.seen)

    def sync(self) -> None:
        survive = self.disk._survive
        self.disk.step(lambda: survive(self.file, "kept"), lambda: survive(self.file, "first half"))

    def close(self) -> None:
        pass


def every_crash(operations: int) -> Iterator[tuple[int, str, str]]:
    return itertools.product(range(1, operations + 1), WHEN, SURVIVAL)


def replica_with(lab: Any, *pieces: bytes) -> MemoryDisk:
    disk = MemoryDisk()
    store = lab("store").Store(disk, BLOCK)
    store.create(7, 3)
    for piece in pieces:
        store.get(7).write(store.get(7).length, piece)
    return disk


def flipped(disk: MemoryDisk, name: str, bit: int) -> MemoryDisk:
    copy = disk.survivor()
    for content in (copy.files[name].durable, copy.files[name].seen):
        content[bit // 8] ^= 1 << bit % 8
    return copy


class TestClock(SystemClock):
    """Real time, so that a busy machine is not mistaken for a slow peer; `hurry` through waits, or jump ahead.

    Waits in progress notice either within 10 real milliseconds.
    """

    __test__ = False
    SLICE = 0.01

    def __init__(self) -> None:
        self.ahead = 0.0
        self.rate = 1.0
        self.since = time.monotonic()

    def now(self) -> float:
        return (time.monotonic() - self.since) * self.rate + self.ahead

    def set_rate(self, rate: float) -> None:
        self.ahead, self.since, self.rate = self.now(), time.monotonic(), rate

    @contextmanager
    def hurry(self) -> Iterator[None]:
        self.set_rate(20.0)
        try:
            yield
        finally:
            self.set_rate(1.0)

    def _in_slices(self, timeout: float | None, wait: Callable[[float], bool]) -> bool:
        until = math.inf if timeout is None else self.now() + timeout
        while (left := until - self.now()) > 0:
            if wait(min(self.SLICE, left / self.rate)):
                return True
        return wait(0.0)

    def sleep(self, seconds: float) -> None:
        self._in_slices(seconds, lambda real: bool(time.sleep(real)))

    def wait(self, condition: threading.Condition, timeout: float | None) -> bool:
        # One slice: a notification may come just when it ends, so the caller must look again.
        until = math.inf if timeout is None else self.now() + timeout
        condition.wait(max(0.0, min(self.SLICE, (until - self.now()) / self.rate)))
        return self.now() < until

    def wait_for(self, condition: Any, predicate: Any, timeout: float | None) -> bool:
        return self._in_slices(timeout, lambda real: condition.wait_for(predicate, real))

    def wait_readable(self, sock: socket.socket, timeout: float | None) -> bool:
        return self._in_slices(timeout, lambda real: SystemClock.wait_readable(self, sock, real))


class Cell:
    """Chunkservers, a scripted master and one client in this process."""

    def __init__(self, lab: Any, root: Path) -> None:
        self.lab, self.root = lab, root
        self.rpc = importlib.import_module("rpc")
        self.clock = TestClock()
        self.ports: dict[str, int] = {}
        self.running: list[Any] = []
        self.notes: list[tuple[str, str, dict[str, Any]]] = []
        self.reports: list[tuple[str, dict[str, Any]]] = []
        self.answer: Callable[[str, dict[str, Any]], dict[str, Any]] = lambda method, report: {}
        self.client = self.rpc.Client(self.context("client"))
        self.data_ids = itertools.count()

    def context(self, name: str) -> Context:
        def annotate(event: str, /, **facts: Any) -> None:
            self.notes.append((name, event, facts))

        def announce(port: int) -> None:
            self.ports[name] = port

        return Context(
            name=name,
            config={"master": "master", "rack": "r1"},
            clock=self.clock,
            disk=OsDisk(self.root / name),
            network=DirectNetwork(lambda peer: self.ports[peer], announce),
            rng=random.Random(f"{name}{len(self.running)}"),
            limits=LIMITS,
            annotate=annotate,
        )

    def start_master(self) -> Any:
        def heartbeat(**report: Any) -> dict[str, Any]:
            self.reports.append(("heartbeat", report))
            return {"leases": [], "delete": [], "register": False, **self.answer("heartbeat", report)}

        def register(**report: Any) -> dict[str, Any]:
            self.reports.append(("register", report))
            return {"delete": [], **self.answer("register", report)}

        master = self.rpc.Server(self.context("master"), {"heartbeat": heartbeat, "register": register})
        master.start()
        self.running.append(master)
        return master

    def start(self, name: str) -> Any:
        chunkserver = self.lab("").start(self.context(name))
        self.running.append(chunkserver)
        return chunkserver

    def stop(self) -> None:
        self.client.close()
        for node in reversed(self.running):
            node.stop()

    def call(self, server: str, method: str, payload: bytes = b"", **args: Any) -> Any:
        entry = CATALOGUE[method]
        assert set(args) == set(entry.args)
        try:
            reply = self.client.call(server, method, args, payload, at_most_once=entry.at_most_once)
        except errors.RemoteError as error:
            assert error.code in {*entry.errors, "bad_arguments"}, (method, error)
            raise
        assert set(reply.value) == set(entry.reply)
        return reply

    def lease(self, version: int, primary: str, *secondaries: str, until: float = 60.0) -> None:
        for name in (primary, *secondaries):
            self.call(name, "advance_version", handle=7, previous=version - 1, version=version)
        at = self.clock.now() + until
        self.call(primary, "grant_lease", handle=7, version=version, until=at, secondaries=list(secondaries))

    def push(self, data: bytes, *chain: str) -> str:
        data_id = f"d{next(self.data_ids)}"
        args = {"data_id": data_id, "offset": 0, "total": len(data), "chain": list(chain[1:])}
        self.call(chain[0], "push", data, **args)
        return data_id

    def append(self, data: bytes, *servers: str, version: int = 2) -> int:
        data_id = self.push(data, *servers)
        return self.call(servers[0], "append", handle=7, version=version, data_id=data_id).value["offset"]

    def apply(
        self,
        server: str,
        serial: int,
        offset: int,
        data_id: str | None,
        version: int = 2,
        overwrite: bool = False,
    ) -> None:
        self.call(
            server,
            "apply",
            handle=7,
            version=version,
            serial=serial,
            offset=offset,
            data_id=data_id,
            overwrite=overwrite,
        )

    def read(self, server: str, offset: int = 0, length: int = CHUNK) -> bytes:
        return bytes(self.call(server, "read", handle=7, offset=offset, length=length).payload)

    def wait_for(self, condition: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + 10
        while not (found := condition()):
            assert time.monotonic() < deadline
            time.sleep(0.002)
        return found

"""Nodes of a benchmark: processes on plain sockets and plain files, without the harness in between.

A node's program is the reference's code (or anything else) run with a Context of labkit's own: the machine's clock,
a directory as disk, ports found through small files. Workers are processes that repeat something on command, so that
several of them can be timed as one.
"""

from __future__ import annotations

import gc
import importlib
import os
import random
import signal
import struct
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from harness.workspace import Workspace
from labkit import Context, Limits
from labkit.clock import SystemClock
from labkit.disk import OsDisk
from labkit.network import DirectNetwork

PATIENCE = 20.0
_COUNT = struct.Struct("q")


class Cell:
    """Processes that know each other by name. `directory` holds their ports, `disks` their disks."""

    def __init__(self, directory: Path, disks: Path, limits: Mapping[str, Any]) -> None:
        self._directory = directory
        self.disks = disks
        self._limits = Limits.from_config(limits)
        self._children: list[int] = []
        for root in Workspace.solution().roots.values():
            sys.path.insert(0, str(root))

    def context(self, name: str) -> Context:
        def announce(port: int) -> None:
            made = self._directory / f"{name}.new"
            made.write_text(str(port))
            made.replace(self._directory / name)

        def port_of(peer: str) -> int:
            try:
                return int((self._directory / peer).read_text())
            except FileNotFoundError as error:
                raise LookupError(peer) from error

        return Context(
            name=name,
            config={"master": "master"},
            clock=SystemClock(),
            disk=OsDisk(self.disks / name),
            network=DirectNetwork(port_of, announce),
            rng=random.Random(name),
            limits=self._limits,
        )

    def start(self, name: str, run: Callable[[Context], Any]) -> int:
        """A process that runs `run` and then sleeps for ever; its id, once it listens."""
        pid = self._fork(lambda: run(self.context(name)))
        deadline = time.monotonic() + PATIENCE
        while not (self._directory / name).exists():
            if time.monotonic() > deadline:
                raise RuntimeError(f"{name} did not start")
            time.sleep(0.002)
        return pid

    def worker(self, name: str, make: Callable[[Context], Callable[[], object]]) -> Worker:
        """A process that does what `make` returns as often as it is told."""
        command, told = os.pipe()
        answer, answered = os.pipe()

        def run() -> None:
            once = make(self.context(name))
            while message := os.read(command, _COUNT.size):
                for _ in range(_COUNT.unpack(message)[0]):
                    once()
                os.write(answered, b"!")

        self._fork(run)
        return Worker(told, answer)

    def stop(self) -> None:
        for pid in self._children:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        self._children.clear()

    def _fork(self, run: Callable[[], object]) -> int:
        pid = os.fork()
        if pid == 0:
            gc.freeze()  # as in a node of the harness: what the benchmark imports is not the node's to look through
            try:
                run()
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            while True:
                signal.pause()
        self._children.append(pid)
        return pid


def reference(name: str) -> Any:
    """One of the reference's packages; there is a Cell already."""
    return importlib.import_module(name)


class Worker:
    """This side of a worker process."""

    def __init__(self, tell: int, answer: int) -> None:
        self._tell = tell
        self._answer = answer

    def begin(self, times: int) -> None:
        os.write(self._tell, _COUNT.pack(times))

    def wait(self) -> None:
        if os.read(self._answer, 1) != b"!":
            raise RuntimeError("a worker has died")


def rate(workers: list[Worker], times: int) -> float:
    """What all of them do in a second, each `times` times."""
    begun = time.perf_counter()
    for worker in workers:
        worker.begin(times)
    for worker in workers:
        worker.wait()
    return len(workers) * times / (time.perf_counter() - begun)


def resident(pid: int) -> int:
    """Bytes of memory a process has in use."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")

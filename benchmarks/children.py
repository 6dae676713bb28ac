"""Server processes of a benchmark: forked, so that they share its pinned core, and killed with their groups."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager

Serve = Callable[[Callable[[int], None]], None]  # serves for ever, once it has told its port
Start = Callable[[Serve], tuple[int, int]]  # gives pid and port


@contextmanager
def servers() -> Generator[Start]:
    """`start(serve)` forks a process that runs it; all are killed at the end of the block."""
    pids: list[int] = []

    def start(serve: Serve) -> tuple[int, int]:
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.setpgid(0, 0)
                serve(lambda port: _tell(writer, port))
            finally:
                os._exit(1)
        pids.append(pid)
        os.close(writer)
        with os.fdopen(reader) as pipe:
            return pid, int(pipe.readline())

    try:
        yield start
    finally:
        for pid in pids:
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _tell(writer: int, port: int) -> None:
    os.write(writer, f"{port}\n".encode())

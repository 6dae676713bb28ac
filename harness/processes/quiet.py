"""Whether processes have nothing left to do but to wait, as the kernel sees it.

A thread that was given something, a byte on a socket or a lock, is runnable from that moment on, however long a busy
machine lets it wait for a processor. So "all threads sleep" means the same on a fast machine and on a slow one,
which "nothing was heard for a while" does not.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable

SLEEPING = frozenset(b"SZXTt")  # waiting for an event; dead, or stopped: such a thread does nothing either


def all_asleep(pids: Iterable[int]) -> bool:
    """Whether no thread of these processes runs, is about to run, or waits for a disk. A process that is gone sleeps."""
    return all(_state(f"/proc/{pid}/task/{task}/stat") in SLEEPING for pid in pids for task in _tasks(pid))


def _tasks(pid: int) -> list[str]:
    try:
        return os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []


def _state(path: str) -> int:
    """The letter behind the command's name, which stands in brackets and may hold brackets itself."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            return os.read(descriptor, 512).rpartition(b") ")[2][0]
        finally:
            os.close(descriptor)
    return ord("X")

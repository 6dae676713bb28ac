"""Whether a process has nothing left to do but to wait, as the kernel sees it.

A thread that was given something, a byte on a socket or a lock, is runnable from that moment on, however long a busy
machine lets it wait for a processor. So "all threads sleep" means the same on a fast machine and on a slow one,
which "nothing was heard for a while" does not.

It is asked thousands of times in a run. So the kernel's files about the threads stay open, and while nobody has come or
gone, which the number of entries in the directory and the end of a thread's file tell, they are only read again.
"""

from __future__ import annotations

import os
from pathlib import Path

SLEEPING = frozenset(b"SZXTt")  # waiting for an event; dead, or stopped: such a thread does nothing either
_SELF_AND_PARENT = 2  # entries of a directory besides those it is for


class Threads:
    """The threads of one process. For use by one thread at a time."""

    def __init__(self, pid: int) -> None:
        self._path = f"/proc/{pid}/task"
        self._directory = -1
        self._states: list[int] = []  # open files, one for each thread that was there when we last looked

    def asleep(self) -> bool:
        """Whether none of them runs, is about to run, or waits for a disk. A process that is gone sleeps."""
        try:
            return self._look()
        except (FileNotFoundError, ProcessLookupError):
            pass  # one of them has ended
        try:
            self._list()
            return self._look()
        except (FileNotFoundError, ProcessLookupError):
            # Another one since, if it is not the process that is gone.
            return not Path(self._path).exists()

    def close(self) -> None:
        """Close all files; `asleep` would open them again."""
        for descriptor in (*self._states, *([self._directory] if self._directory >= 0 else ())):
            os.close(descriptor)
        self._states, self._directory = [], -1

    def _look(self) -> bool:
        if not self._states or os.fstat(self._directory).st_nlink != len(self._states) + _SELF_AND_PARENT:
            self._list()
        for place, descriptor in enumerate(self._states):
            if _state(os.pread(descriptor, 512, 0)) not in SLEEPING:
                # Who is at work now will most likely be when we ask again: ask it first.
                self._states.insert(0, self._states.pop(place))
                return False
        return True

    def _list(self) -> None:
        self.close()
        self._directory = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY)
        for task in os.listdir(self._directory):
            self._states.append(os.open(f"{self._path}/{task}/stat", os.O_RDONLY))


def _state(stat: bytes) -> int:
    """The letter behind the command's name, which stands in brackets and may hold brackets itself."""
    return stat.rpartition(b") ")[2][0]

"""Whether a process has nothing left to do but to wait, as the kernel sees it.

A thread that was given something, a byte on a socket or a lock, is runnable from that moment on, however long a busy
machine lets it wait for a processor. So "all threads sleep" means the same on a fast machine and on a slow one,
which "nothing was heard for a while" does not.

Threads are looked at one after the other, and one that sleeps may be woken by one that is looked at later. So who wants to
be sure looks twice: when all threads slept both times and none has run in between, all slept at one moment.

It is asked thousands of times in a run. So the kernel's files about the threads stay open, as far as this process may have
so many, and while nobody has come or gone, which the number of entries in the directory and the end of a thread's file
tell, they are only read again.
"""

from __future__ import annotations

import os
import resource
import threading
from pathlib import Path

# Waiting for an event, or dead. Not one that is stopped, though it does nothing: a machine that swaps or migrates stops
# threads in the middle of something, and no time should jump over their heads.
SLEEPING = frozenset(b"SZX")
NONE = -1
_SELF_AND_PARENT = 2  # entries of a directory besides those it is for

_RUNS_ARE_TOLD = Path("/proc/thread-self/schedstat").exists()
_room = threading.Semaphore(resource.getrlimit(resource.RLIMIT_NOFILE)[1] // 2)  # the rest is for sockets


class _File:
    """One of the kernel's files. Stays open from the first time it is read, if there is room."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._open = NONE

    def read(self, size: int) -> bytes:
        if self._open == NONE:
            descriptor = os.open(self._path, os.O_RDONLY)
            if not _room.acquire(blocking=False):
                try:
                    return os.read(descriptor, size)
                finally:
                    os.close(descriptor)
            self._open = descriptor
        return os.pread(self._open, size, 0)

    def close(self) -> None:
        if self._open != NONE:
            os.close(self._open)
            self._open = NONE
            _room.release()


class _Thread:
    def __init__(self, path: str) -> None:
        self.path = path
        self._state = _File(f"{path}/stat")
        self._runs = _File(f"{path}/schedstat")

    def runs(self) -> bytes:
        """How long and how often it has run, where the kernel tells."""
        return self._runs.read(128) if _RUNS_ARE_TOLD else b""

    def state(self) -> int:
        return _state(self._state.read(512))

    def close(self) -> None:
        self._state.close()
        self._runs.close()


class Threads:
    """The threads of one process."""

    def __init__(self, pid: int) -> None:
        self._path = f"/proc/{pid}/task"
        self._lock = threading.Lock()
        self._closed = False
        self._directory = NONE
        self._threads: list[_Thread] = []  # those that were there when we last looked

    def asleep(self) -> dict[str, bytes] | None:
        """For each thread, what tells whether it has run since; None if one runs, is about to run, or waits for a disk.

        A process that is gone sleeps.
        """
        with self._lock:
            if self._closed:
                return {}
            try:
                return self._look()
            except (FileNotFoundError, ProcessLookupError):
                pass  # one of them has ended
            try:
                self._list()
                return self._look()
            except (FileNotFoundError, ProcessLookupError):
                # Another one since, if it is not the process that is gone.
                return None if Path(self._path).exists() else {}

    def close(self) -> None:
        """The process is gone: close all files."""
        with self._lock:
            self._closed = True
            self._forget()

    def _forget(self) -> None:
        for one in self._threads:
            one.close()
        if self._directory != NONE:
            os.close(self._directory)
        self._threads, self._directory = [], NONE

    def _look(self) -> dict[str, bytes] | None:
        if not self._threads or os.fstat(self._directory).st_nlink != len(self._threads) + _SELF_AND_PARENT:
            self._list()
        runs: dict[str, bytes] = {}
        for place, one in enumerate(self._threads):
            # Before its state: whoever runs after this is seen to run, or to have run.
            runs[one.path] = one.runs()
            if one.state() not in SLEEPING:
                # Who is at work now will most likely be when we ask again: ask it first.
                self._threads.insert(0, self._threads.pop(place))
                return None
        return runs

    def _list(self) -> None:
        self._forget()
        self._directory = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY)
        self._threads = [_Thread(f"{self._path}/{task}") for task in os.listdir(self._directory)]


def _state(stat: bytes) -> int:
    """The letter behind the command's name, which stands in brackets and may hold brackets itself."""
    return stat.rpartition(b") ")[2][0]

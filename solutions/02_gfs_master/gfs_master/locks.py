"""Locks on path names: whoever changes the name /d1/d2/leaf reads /, /d1 and /d1/d2, and writes the leaf (GFS §4.1).

So two creations in one directory run side by side, because neither changes the directory; while
whoever writes the directory itself, to delete, rename or copy it, has it alone with all that lies below. The
locks are held from before the first look until the change is durable, however long chunkservers take.

No deadlock: everybody takes locks in one order, by depth and then by name, and each at most once. No writer waits
for ever: who wants to read a path lets those pass who wait to write it.

Questions (stat, list, lookup) take no lock. They look once, in one section, and see all of a change or nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

from gfs_master.namespace import ROOT, parent


@dataclass(slots=True)
class _Lock:
    """The lock of one path; there is one as long as anybody holds it or waits for it."""

    readers: int = 0
    written: bool = False
    writers_waiting: int = 0
    users: int = 0


class PathLocks:
    def __init__(self) -> None:
        self._locks: dict[str, _Lock] = {}
        self._lock = threading.Lock()
        self._freed = threading.Condition(self._lock)

    @contextmanager
    def writing(self, *paths: str) -> Generator[None]:
        """Hold write locks on valid paths, and read locks on all directories above them."""
        # lab 2 part A: sort, take one after the other, give back whatever happens
        written = set(paths)
        read = {above for path in paths for above in _above(path)} - written
        taken: list[str] = []
        try:
            with self._lock:
                for path in sorted(written | read, key=lambda path: (path.count("/"), path)):
                    self._take(path, write=path in written)
                    taken.append(path)
            yield
        finally:
            with self._lock:
                for path in reversed(taken):
                    self._give_back(path, write=path in written)
                self._freed.notify_all()

    def _take(self, path: str, *, write: bool) -> None:
        # lab 2 part A
        lock = self._locks.setdefault(path, _Lock())
        lock.users += 1
        if write:
            lock.writers_waiting += 1
            while lock.written or lock.readers:
                self._freed.wait()
            lock.writers_waiting -= 1
            lock.written = True
        else:
            while lock.written or lock.writers_waiting:
                self._freed.wait()
            lock.readers += 1

    def _give_back(self, path: str, *, write: bool) -> None:
        # lab 2 part A
        lock = self._locks[path]
        if write:
            lock.written = False
        else:
            lock.readers -= 1
        lock.users -= 1
        if not lock.users:
            del self._locks[path]


def _above(path: str) -> Generator[str]:
    # lab 2 part A
    while path != ROOT:
        path = parent(path)
        yield path

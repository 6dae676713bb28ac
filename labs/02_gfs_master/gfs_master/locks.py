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
        raise NotImplementedError("lab 2 part A: sort, take one after the other, give back whatever happens")

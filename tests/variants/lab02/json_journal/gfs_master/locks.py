"""Who changes what at the moment: a list. A newcomer waits for all before it that it would get in the way of.

Two changes are in each other's way when one's name is the other's, or lies above it: a directory and something in it.
First come, first served, among those that are in each other's way; so there is no deadlock, and nobody waits for ever.
"""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager

from gfs_master.namespace import is_below

Change = tuple[str, ...]


class PathLocks:
    def __init__(self) -> None:
        self._changes: list[Change] = []
        self._ended = threading.Condition()

    @contextmanager
    def writing(self, *paths: str) -> Generator[None]:
        change = tuple(paths)
        with self._ended:
            self._changes.append(change)
            self._ended.wait_for(lambda: not any(_meet(change, other) for other in self._before(change)))
        try:
            yield
        finally:
            with self._ended:
                self._changes = [other for other in self._changes if other is not change]
                self._ended.notify_all()

    def _before(self, change: Change) -> Generator[Change]:
        for other in self._changes:
            if other is change:
                return
            yield other


def _meet(one: Change, other: Change) -> bool:
    return any(is_below(a, b) or is_below(b, a) for a in one for b in other)

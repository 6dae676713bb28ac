"""Turns: work on one thing is done by one thread at a time, work on different things side by side.

The master's one lock is never held during an RPC. What takes several steps with RPCs in between (granting
a chunk's lease, adding a file's next chunk) holds a turn instead, which keeps nobody from anything else.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Hashable
from contextlib import contextmanager


class Turns:
    def __init__(self) -> None:
        self._taken: set[Hashable] = set()
        self._freed = threading.Condition()

    @contextmanager
    def of(self, key: Hashable) -> Generator[None]:
        """Hold the turn of `key`; wait for whoever holds it."""
        with self._freed:
            self._freed.wait_for(lambda: key not in self._taken)
            self._taken.add(key)
        try:
            yield
        finally:
            with self._freed:
                self._taken.discard(key)
                self._freed.notify_all()

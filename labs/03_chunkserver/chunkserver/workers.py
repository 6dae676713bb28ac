"""Threads that stay for the next job: starting one costs more than an RPC (given).

Invariant: every job that was handed over has a thread to itself, either one that was idle or a new one. So no job ever
waits for another, however long that one takes, and there are never more threads than there were jobs at one time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue

KEPT = 16  # idle threads; more than that end with their job


class Workers:
    """Safe to use from several threads."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: SimpleQueue[tuple[Callable[[], None], threading.Lock] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._kept = KEPT
        self._idle = 0  # threads that take the next job, less jobs that nobody has taken yet

    def start(self, job: Callable[[], None]) -> Callable[[], object]:
        """Run `job` in a thread; the function that comes back waits until it has ended. Call that once."""
        ended = threading.Lock()
        ended.acquire()
        with self._lock:
            if self._idle:
                self._idle -= 1
            else:
                threading.Thread(target=self._work, name=self._name, daemon=True).start()
        self._jobs.put((job, ended))
        return ended.acquire

    def close(self) -> None:
        """End the threads that are idle now, and the others when their jobs end."""
        with self._lock:
            idle, self._idle, self._kept = self._idle, 0, 0
        for _ in range(idle):
            self._jobs.put(None)

    def _work(self) -> None:
        stays = True
        while stays and (handed := self._jobs.get()):
            job, ended = handed
            try:
                job()
            finally:
                ended.release()
            with self._lock:
                stays = self._idle < self._kept
                self._idle += stays

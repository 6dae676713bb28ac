"""Threads that run handlers: as many as there is work, a few kept when there is none."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from queue import SimpleQueue

KEPT = 8
Job = Callable[[], None]


class Workers:
    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._idle = 0
        self._closed = False
        self._threads: set[threading.Thread] = set()

    def run(self, job: Job) -> None:
        with self._lock:
            if self._idle:
                self._idle -= 1
                self._jobs.put(job)
                return
            thread = threading.Thread(target=self._work, args=(job,), name=self._name, daemon=True)
            self._threads.add(thread)
            thread.start()

    def close(self, patience: float) -> None:
        with self._lock:
            self._closed = True
            threads = list(self._threads)
            for _ in range(self._idle):
                self._jobs.put(None)
            self._idle = 0
        until = time.monotonic() + patience
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, until - time.monotonic()))

    def _work(self, job: Job | None) -> None:
        while job is not None:
            job()
            with self._lock:
                if self._closed or self._idle >= KEPT:
                    break
                self._idle += 1
            job = self._jobs.get()
        with self._lock:
            self._threads.discard(threading.current_thread())

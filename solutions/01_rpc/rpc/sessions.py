"""The client's half of at most once: numbering calls, acknowledging answers, knowing the server's epoch.

Invariant: `ack` never reaches a call that may still be sent. It is the number below the oldest call in
flight; a call that was given up counts as answered, because nobody will send it again.

The epoch names one life of the server. The server forgets everything when it dies, so a call whose request
may have reached one life must never be sent to the next: there it would look new.
"""

from __future__ import annotations

import threading


class Session:
    """What a client knows of one server. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0
        self._in_flight: dict[int, None] = {}  # a dict, since it keeps the order: the first is the oldest
        self.epoch: int | None = None

    def begin(self) -> tuple[int, int]:
        """(seq, ack) for a new at-most-once call: numbers go up from 1 and are never used again."""
        # lab 1 part C: one step under the lock, or another call's ack could pass ours before we are in flight
        with self._lock:
            self._last = seq = self._last + 1
            self._in_flight[seq] = None
            return seq, next(iter(self._in_flight)) - 1

    def end(self, seq: int) -> None:
        """The call was answered or given up; nobody will send it again."""
        # lab 1 part C: it is in flight no more
        with self._lock:
            del self._in_flight[seq]

    def number(self) -> int:
        """A seq for a best-effort request, which nobody remembers: only told apart from the others."""
        # lab 1 part B: the same numbers as begin, so that no two requests share one
        with self._lock:
            self._last += 1
            return self._last

    def lost(self, epoch: int | None) -> None:
        """The server refused `epoch`: forget it, unless another call has learned a newer one already."""
        # lab 1 part C: compare before forgetting
        with self._lock:
            if self.epoch == epoch:
                self.epoch = None

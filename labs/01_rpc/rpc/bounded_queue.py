"""A queue with room for so many items, between threads that make work and threads that do it.

Coordination: a producer waits while the queue is full, a consumer while it is empty, and each wakes the other with
a condition variable. Invariant: at most `room` items are inside; each goes to exactly one consumer, first in, first
out. Who is woken looks again before going on: between the wake-up and its turn at the lock somebody else may have
been there (Lampson and Redell 1980, §4).
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Closed(Exception):
    """Nothing comes through this queue any more."""


class BoundedQueue(Generic[Item]):
    """Thread-safe."""

    def __init__(self, room: int) -> None:
        if room < 1:
            raise ValueError("a queue needs room for an item")
        self._room = room
        self._items: deque[Item] = deque()
        self._closed = False
        # Two conditions on one lock, so that a wake-up cannot go to one who waits for the other thing.
        self._lock = threading.Lock()
        self._not_full = threading.Condition(self._lock)
        self._not_empty = threading.Condition(self._lock)

    def put(self, item: Item) -> None:
        """Add `item`, once there is room. Closed when the queue is closed, even while this waits."""
        raise NotImplementedError(
            "lab 1 part D: while it is full and open: wait; then add, and wake one who waits to get"
        )

    def get(self) -> Item:
        """The oldest item, once there is one. Closed when the queue is closed and all its items are gone."""
        raise NotImplementedError(
            "lab 1 part D: while it is empty and open: wait; then remove, and wake one who waits to put"
        )

    def close(self) -> None:
        """Take no more items, and wake everybody who waits. What is inside can still be got. Twice is no error."""
        raise NotImplementedError("lab 1 part D: one of those who wait is not enough")

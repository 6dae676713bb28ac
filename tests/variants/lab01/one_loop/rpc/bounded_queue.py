"""Two semaphores, one for what is inside and one for the room left, passed on from hand to hand once it is closed."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Closed(Exception):
    pass


class BoundedQueue(Generic[Item]):
    def __init__(self, room: int) -> None:
        self._room = threading.Semaphore(room)
        self._filled = threading.Semaphore(0)
        self._items: deque[Item] = deque()
        self._lock = threading.Lock()
        self._closed = False

    def put(self, item: Item) -> None:
        self._room.acquire()
        with self._lock:
            if not self._closed:
                self._items.append(item)
                self._filled.release()
                return
        self._room.release()  # the next one who waits has to hear it too
        raise Closed

    def get(self) -> Item:
        self._filled.acquire()
        with self._lock:
            if self._items:
                item = self._items.popleft()
                self._room.release()
                return item
        self._filled.release()
        raise Closed

    def close(self) -> None:
        with self._lock:
            if not self._closed:
                self._closed = True
                self._room.release()
                self._filled.release()

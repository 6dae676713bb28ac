"""Who waits has a place of its own, in order of arrival, and is handed its item there."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")


class Closed(Exception):
    pass


class _Place:
    def __init__(self, item: Any = None) -> None:
        self.item = item
        self.served = False
        self.called = threading.Event()


class BoundedQueue(Generic[Item]):
    def __init__(self, room: int) -> None:
        self._room = room
        self._lock = threading.Lock()
        self._items: deque[Item] = deque()
        self._givers: deque[_Place] = deque()
        self._takers: deque[_Place] = deque()
        self._closed = False

    def put(self, item: Item) -> None:
        with self._lock:
            if self._closed:
                raise Closed
            if self._takers:
                taker = self._takers.popleft()
                taker.item, taker.served = item, True
                taker.called.set()
                return
            if len(self._items) < self._room:
                self._items.append(item)
                return
            place = _Place(item)
            self._givers.append(place)
        place.called.wait()
        if not place.served:
            raise Closed

    def get(self) -> Item:
        with self._lock:
            if self._items:
                item = self._items.popleft()
                if self._givers:
                    giver = self._givers.popleft()
                    self._items.append(giver.item)
                    giver.served = True
                    giver.called.set()
                return item
            if self._closed:
                raise Closed
            place = _Place()
            self._takers.append(place)
        place.called.wait()
        if not place.served:
            raise Closed
        return place.item

    def close(self) -> None:
        with self._lock:
            self._closed = True
            for place in (*self._givers, *self._takers):
                place.called.set()
            self._givers.clear()
            self._takers.clear()

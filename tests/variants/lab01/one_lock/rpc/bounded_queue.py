"""One condition, and everybody is woken by everything."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Closed(Exception):
    pass


class BoundedQueue(Generic[Item]):
    def __init__(self, room: int) -> None:
        self.room = room
        self.items: list[Item] = []
        self.closed = False
        self.changed = threading.Condition()

    def put(self, item: Item) -> None:
        with self.changed:
            self.changed.wait_for(lambda: self.closed or len(self.items) < self.room)
            if self.closed:
                raise Closed
            self.items.append(item)
            self.changed.notify_all()

    def get(self) -> Item:
        with self.changed:
            self.changed.wait_for(lambda: self.closed or self.items)
            if not self.items:
                raise Closed
            self.changed.notify_all()
            return self.items.pop(0)

    def close(self) -> None:
        with self.changed:
            self.closed = True
            self.changed.notify_all()

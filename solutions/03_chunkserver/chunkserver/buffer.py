"""Pushed data, waiting for the mutation that uses it (GFS §3.1 step 3, §3.2).

Data and control flow apart: bytes come first, along a chain of servers, and rest here under an id; the small
`append` or `apply` that says what to do with them comes later, if at all. The buffer is bounded: the
data unused for longest goes first. Whoever needed it hears UnknownData, and it is pushed again. Data stays
after its use, for the client may try the same append again.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

from labkit.disk import Buffer
from labkit.errors import TooLarge


class DataBuffer:
    """At most `capacity` bytes of data, no item above `largest` bytes. Safe to use from several threads."""

    def __init__(self, capacity: int, largest: int) -> None:
        self._capacity = capacity
        self._largest = min(capacity, largest)
        self._items: OrderedDict[str, Buffer] = OrderedDict()
        self._held = 0
        self._lock = threading.Lock()

    def put(self, data_id: str, data: Buffer) -> None:
        """Keep `data` under `data_id`, in place of what was there; evict what was unused for longest.

        TooLarge, and nothing changes, when `data` alone is more than may be kept.
        """
        # lab 3 part B: an OrderedDict in order of use; count the bytes; the newest item is never evicted.
        if len(data) > self._largest:
            raise TooLarge(f"{len(data)} bytes; the limit is {self._largest}")
        with self._lock:
            self._held -= len(self._items.pop(data_id, b""))
            self._items[data_id] = data
            self._held += len(data)
            while self._held > self._capacity:
                _, evicted = self._items.popitem(last=False)
                self._held -= len(evicted)

    def get(self, data_id: str) -> Buffer | None:
        """The data, now the most recently used; None when it never came or was evicted."""
        # lab 3 part B: move_to_end.
        with self._lock:
            data = self._items.get(data_id)
            if data is not None:
                self._items.move_to_end(data_id)
            return data

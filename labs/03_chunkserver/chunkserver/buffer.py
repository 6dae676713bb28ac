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
        raise NotImplementedError(
            "lab 3 part B: an OrderedDict in order of use; count the bytes; the newest item is never evicted."
        )

    def get(self, data_id: str) -> Buffer | None:
        """The data, now the most recently used; None when it never came or was evicted."""
        raise NotImplementedError("lab 3 part B: move_to_end.")

"""Pushed data, waiting for the mutation that uses it (GFS §3.1 step 3, §3.2).

Data and control flow apart: bytes come first, along a chain of servers, and rest here under an id; the small
message that says what to do with them comes later, if at all. They come in pieces, in any order, and
one piece may be what there is to come; only when all are here, the data is. The buffer is bounded: the
data unused for longest goes first, whole or not. Whoever needed it hears UnknownData, and it is pushed again. Data
stays after its use, for the client may try the same mutation again.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field

from labkit.disk import Buffer
from labkit.errors import BadArguments, TooLarge


@dataclass(slots=True)
class Item:
    """Data of `total` bytes, as far as it has come: offset -> piece. When it is whole, there is one piece."""

    total: int
    pieces: dict[int, Buffer] = field(default_factory=dict[int, Buffer])

    @property
    def held(self) -> int:
        return sum(len(piece) for piece in self.pieces.values())

    @property
    def whole(self) -> Buffer | None:
        """The data, once all of it is here."""
        first = self.pieces.get(0)
        return first if first is not None and len(first) == self.total else None

    def add(self, offset: int, data: Buffer) -> None:
        """Take a piece; put all together if it was the last one missing."""
        # lab 3 part B: follow the pieces from offset 0 on; if that ends at `total`, join them into one.
        if self.whole is not None:
            return
        if len(data) == self.total:  # small data comes in one piece
            self.pieces = {0: data}
            return
        if self.held - len(self.pieces.get(offset, b"")) + len(data) > self.total:
            self.pieces.clear()  # it was cut in another way before: only one way adds up
        self.pieces[offset] = data
        row: list[Buffer] = []
        at = 0
        while at < self.total and (piece := self.pieces.get(at)):
            row.append(piece)
            at += len(piece)
        if at == self.total and len(row) > 1:
            self.pieces = {0: b"".join(row)}


class DataBuffer:
    """At most `capacity` bytes of data, no item above `largest` bytes. Safe to use from several threads."""

    def __init__(self, capacity: int, largest: int) -> None:
        self._capacity = capacity
        self._largest = min(capacity, largest)
        self._items: OrderedDict[str, Item] = OrderedDict()
        self._held = 0
        self._lock = threading.Lock()

    def put(self, data_id: str, offset: int, total: int, data: Buffer) -> None:
        """Keep `data` as the bytes from `offset` on of the `total` bytes `data_id`; evict what was unused for longest.

        Two pieces under one id belong to the same data, so a piece that is here already changes nothing.
        TooLarge when `total` is more than may be kept, BadArguments when the piece is not within it: nothing
        changes then.
        """
        # lab 3 part B: an OrderedDict in order of use; count the bytes held; the newest item is never evicted.
        if total > self._largest:
            raise TooLarge(f"{total} bytes; the limit is {self._largest}")
        if offset < 0 or offset + len(data) > total:
            raise BadArguments(f"{len(data)} bytes at {offset} are no piece of {total}")
        with self._lock:
            item = self._items.pop(data_id, None)
            self._held -= item.held if item else 0
            if item is None or item.total != total:
                item = Item(total)
            item.add(offset, data)
            self._items[data_id] = item
            self._held += item.held
            while self._held > self._capacity:
                _, evicted = self._items.popitem(last=False)
                self._held -= evicted.held

    def get(self, data_id: str) -> Buffer | None:
        """The data, now the most recently used; None when it never came, or not all of it, or was evicted."""
        # lab 3 part B: move_to_end; an Item knows whether it is whole.
        with self._lock:
            item = self._items.get(data_id)
            if item is None:
                return None
            self._items.move_to_end(data_id)
            return item.whole

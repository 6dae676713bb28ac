"""Pushed data: what is whole, what is still coming, and when each was used last, as a number that only grows."""

from __future__ import annotations

import threading

from labkit.disk import Buffer
from labkit.errors import BadArguments, TooLarge


class DataBuffer:
    def __init__(self, capacity: int, largest: int) -> None:
        self._capacity, self._largest = capacity, min(largest, capacity)
        self._lock = threading.Lock()
        self._whole: dict[str, bytes] = {}
        self._coming: dict[str, tuple[int, dict[int, bytes]]] = {}
        self._used: dict[str, int] = {}
        self._uses = 0

    def put(self, data_id: str, offset: int, total: int, data: Buffer) -> None:
        if total > self._largest:
            raise TooLarge(f"nobody may push {total} bytes")
        if offset < 0 or len(data) > total - offset:
            raise BadArguments("a piece that does not fit")
        with self._lock:
            self._touch(data_id)
            if data_id not in self._whole:
                known, pieces = self._coming.get(data_id, (total, {}))
                if known != total or sum(map(len, pieces.values())) > total:
                    pieces = {}
                pieces[offset] = bytes(data)
                self._coming[data_id] = total, pieces
                joined = _joined(pieces)
                if len(joined) == total:
                    del self._coming[data_id]
                    self._whole[data_id] = joined
            while self._held() > self._capacity:
                oldest = min(self._used, key=self._used.__getitem__)
                for table in (self._whole, self._coming, self._used):
                    table.pop(oldest, None)

    def get(self, data_id: str) -> Buffer | None:
        with self._lock:
            if data_id in self._used:
                self._touch(data_id)
            return self._whole.get(data_id)

    def _touch(self, data_id: str) -> None:
        self._uses += 1
        self._used[data_id] = self._uses

    def _held(self) -> int:
        coming = sum(len(piece) for _, pieces in self._coming.values() for piece in pieces.values())
        return coming + sum(map(len, self._whole.values()))


def _joined(pieces: dict[int, bytes]) -> bytes:
    joined = b""
    for offset in sorted(pieces):
        if offset != len(joined):
            break
        joined += pieces[offset]
    return joined

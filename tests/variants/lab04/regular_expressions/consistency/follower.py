"""A follower that keeps apart what it has returned and which chunks it need not read again."""

from __future__ import annotations

from consistency.reader import Reader
from consistency.records import Found, RecordId


class Follower:
    def __init__(self, reader: Reader, path: str) -> None:
        self._reader, self._path = reader, path
        self._behind = 0  # chunks that had another one behind them when they were read
        self._returned: set[RecordId] = set()

    def more(self) -> list[Found]:
        found, count = self._reader.scan_from(self._path, self._behind)
        fresh: list[Found] = []
        returned = set(self._returned)
        for one in found:
            if one.record_id not in returned:
                returned.add(one.record_id)
                fresh.append(one)
        self._behind, self._returned = max(count - 1, self._behind), returned
        return fresh

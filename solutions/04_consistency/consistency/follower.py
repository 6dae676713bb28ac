"""A reader that follows a file while it grows (GFS §2.7.2: producer-consumer queues, many-way merging).

A chunk before the last one is full, and what was acknowledged in it is there for good. The last one is read anew each time,
from its beginning: replicas differ in length, and a record may turn up in front of where another replica ended when it
was read before. What was returned already is told by its identity, like any copy.
"""

from __future__ import annotations

from consistency.reader import Reader
from consistency.records import Found, RecordId


class Follower:
    """Follows one file from its beginning."""

    def __init__(self, reader: Reader, path: str) -> None:
        self._reader = reader
        self._path = path
        self._index = 0  # of the chunk that was the last one when it was read
        self._seen: set[RecordId] = set()

    def more(self) -> list[Found]:
        """The records that were not returned before, each once, in file order; an empty list if there are none.

        Everything acknowledged before the call is among them, or was. Errors as of `Client.scan`; then nothing counts
        as returned.
        """
        # lab 4 part B: Reader.scan_from self._index on; remember the ids, and begin at the last chunk next time
        found, count = self._reader.scan_from(self._path, self._index)
        new: dict[RecordId, Found] = {}
        for record in found:
            if record.record_id not in self._seen:
                new.setdefault(record.record_id, record)
        self._seen.update(new)
        self._index = max(self._index, count - 1)
        return list(new.values())

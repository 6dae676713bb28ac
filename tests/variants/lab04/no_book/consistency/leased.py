"""Reads from the primary alone."""

from __future__ import annotations

from consistency.failures import ReadFailed
from consistency.reader import Reader

from labkit.errors import LabError, NotPrimary


class LeasedReader(Reader):
    def chunk(self, path: str, index: int, offset: int, length: int, *, fresh: bool = False) -> bytes:
        def attempt() -> bytes:
            chunk = self._master.locate(path, index, fresh=fresh)
            for _ in range(2):  # who was primary may not be it any more: the master says so at once
                try:
                    primary = self._master.lease(chunk.handle).primary
                    return self._from_replica(primary, chunk, offset, length, leased=True)
                except NotPrimary:
                    self._locations.forget_lease(chunk.handle)
                except LabError as error:
                    self._locations.forget_lease(chunk.handle)
                    self._locations.forget_chunk(path, index)
                    raise ReadFailed(f"chunk {index} cannot be read from its primary") from error
            self._locations.forget_chunk(path, index)
            raise ReadFailed(f"nobody is primary of chunk {index}")

        return self._patiently(f"chunk {index} of {path}", attempt)

"""Reads from the primary alone."""

from __future__ import annotations

from consistency.failures import ReadFailed
from consistency.locations import Chunk
from consistency.reader import Reader

from labkit.errors import LabError, NotPrimary, SharedChunk


class LeasedReader(Reader):
    def chunk(self, path: str, index: int, offset: int, length: int, *, fresh: bool = False) -> bytes:
        def attempt() -> bytes:
            chunk = self._master.locate(path, index, fresh=fresh)
            for _ in range(2):  # who was primary may not be it any more: the master says so at once
                try:
                    primary = self._master.lease(chunk.handle).primary
                    return self._from_replica(primary, chunk, offset, length, leased=True)
                except SharedChunk:
                    # Nobody mutates it any more; but is it still the file's?
                    again = self._master.locate(path, index, fresh=True)
                    if again.handle == chunk.handle:
                        return self._any_of(again, offset, length)
                    chunk = again
                except NotPrimary:
                    self._locations.forget_lease(chunk.handle)
                except LabError as error:
                    self._locations.forget_lease(chunk.handle)
                    self._locations.forget_chunk(path, index)
                    raise ReadFailed(f"chunk {index} cannot be read from its primary") from error
            self._locations.forget_chunk(path, index)
            raise ReadFailed(f"nobody is primary of chunk {index}")

        return self._patiently(f"chunk {index} of {path}", attempt)

    def _any_of(self, chunk: Chunk, offset: int, length: int) -> bytes:
        for replica in chunk.replicas:
            try:
                return self._from_replica(replica, chunk, offset, length)
            except LabError:
                continue
        raise ReadFailed(f"no replica of shared chunk {chunk.handle} will do")

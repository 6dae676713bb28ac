"""Reads that are never stale: from the primary, and only while its lease lasts (GFS §2.7.1 does without).

A replica that has been left behind does not know it, and a client with an old answer of the master's does not either. One
server does know: as long as a primary holds its lease nobody else can acknowledge anything, so what it says is all there
is. The price: one replica does the work of three, and for up to a lease's time after its death nobody can be read.
"""

from __future__ import annotations

from consistency.failures import ReadFailed
from consistency.reader import Reader
from labkit.errors import LabError


class LeasedReader(Reader):
    """Reads each chunk from its primary, whatever places are cached."""

    def chunk(self, path: str, index: int, offset: int, length: int, *, fresh: bool = False) -> bytes:
        """As Reader.chunk, but from the primary alone, by `leased_read`. If it refuses or does not answer, the lease
        is forgotten and, after a rest, the master asked anew."""
        # lab 4 part E: locate, Master.lease, then as you read from one replica in Reader.chunk, but with leased=True;
        # attempts follow each other under one Patience, as there

        def attempt() -> bytes:
            chunk = self._master.locate(path, index, fresh=fresh)
            try:
                primary = self._master.lease(chunk.handle).primary
                return self._from_replica(primary, chunk, offset, length, leased=True)
            except LabError as error:
                self._locations.forget_lease(chunk.handle)
                self._locations.forget_chunk(path, index)
                raise ReadFailed(f"chunk {chunk.handle}: {error}") from error

        return self._patiently(f"{path}: chunk {index}", attempt)

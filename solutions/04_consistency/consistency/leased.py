"""Reads that are never stale: from the primary, and only while its lease lasts (GFS §2.7.1 does without).

A replica that has been left behind does not know it, and a client with an old answer of the master's does not either. One
server does know: as long as a primary holds its lease nobody else can acknowledge anything, so what it says is all there
is. The price: one replica does the work of three, and for up to a lease's time after its death nobody can be read.

A chunk that was in a snapshot has no primary any more, and needs none, for it is not mutated any more (§3.4). What can be old
is that it is this file's: once its copy is, records are appended there.
"""

from __future__ import annotations

from consistency.failures import ReadFailed
from consistency.reader import Reader
from labkit.errors import LabError, SharedChunk


class LeasedReader(Reader):
    """Reads each chunk from its primary, whatever places are cached."""

    def chunk(self, path: str, index: int, offset: int, length: int, *, fresh: bool = False) -> bytes:
        """As Reader.chunk, but from the primary alone, by `leased_read`. If it refuses or does not answer, the lease
        is forgotten and, after a rest, the master asked anew. If the master grants no lease because the chunk was in a snapshot
        (SharedChunk), any replica will do, as in Reader.chunk, if `lookup`, asked now, still names this chunk."""
        # lab 4 part E: locate, Master.lease, then as you read from one replica in Reader.chunk, but with leased=True;
        # attempts follow each other under one Patience, as there

        def attempt() -> bytes:
            chunk = self._master.locate(path, index, fresh=fresh)
            try:
                try:
                    primary = self._master.lease(chunk.handle).primary
                except SharedChunk:
                    # A copy that the file gets after this has no record yet that was acknowledged before we began.
                    latest = self._master.locate(path, index, fresh=True)
                    if latest.handle != chunk.handle or not latest.replicas:
                        raise
                    return self._from_replica(self._ctx.rng.choice(latest.replicas), latest, offset, length)
                return self._from_replica(primary, chunk, offset, length, leased=True)
            except LabError as error:
                self._locations.forget_lease(chunk.handle)
                self._locations.forget_chunk(path, index)
                raise ReadFailed(f"chunk {chunk.handle}: {error}") from error

        return self._patiently(f"{path}: chunk {index}", attempt)

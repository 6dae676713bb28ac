"""Reads that are never stale: from the primary, and only while its lease lasts (GFS §2.7.1 does without).

A replica that has been left behind does not know it, and a client with an old answer of the master's does not either. One
server does know: as long as a primary holds its lease nobody else can acknowledge anything, so what it says is all there
is. The price: one replica does the work of three, and for up to a lease's time after its death nobody can be read.

A chunk that was in a snapshot has no primary any more, and needs none, for it is not mutated any more (§3.4). What can be old
is that it is this file's: once its copy is, records are appended there.
"""

from __future__ import annotations

from consistency.reader import Reader


class LeasedReader(Reader):
    """Reads each chunk from its primary, whatever places are cached."""

    def chunk(self, path: str, index: int, offset: int, length: int, *, fresh: bool = False) -> bytes:
        """As Reader.chunk, but from the primary alone, by `leased_read`. If it refuses or does not answer, the lease
        is forgotten and, after a rest, the master asked anew. If the master grants no lease because the chunk was in a snapshot
        (SharedChunk), any replica will do, as in Reader.chunk, if `lookup`, asked now, still names this chunk."""
        raise NotImplementedError(
            "lab 4 part E: locate, Master.lease, then as you read from one replica in Reader.chunk, but "
            "with leased=True; attempts follow each other under one Patience, as there"
        )

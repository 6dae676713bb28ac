"""New chunks: from a file that ends to chunkservers that store an empty replica (GFS §2.4, §4.2).

    log ReserveHandle -> chunkservers create it -> log AddChunk -> answer

each durable before the next begins. A handle is reserved before anybody hears of it and never again, so a
crash in between leaves at most orphans, which garbage collection takes; the file has no half chunk. While
chunkservers are told, the handle is in `creating`, so that a heartbeat that lists it is not told to drop it.

A chunk that was in a snapshot is not mutated any more. Whoever wants to allocates it again, and the file gets
a copy in its place (§3.4): each server that has a replica copies it on its own disk, so nothing crosses the network.

    log ReserveHandle -> chunkservers copy it -> log CopyChunk -> answer
"""

from __future__ import annotations

from typing import Any

from gfs_master.chunkservers import Chunkservers
from gfs_master.locks import PathLocks
from gfs_master.metadata import Metadata
from labkit import Context


class Creation:
    def __init__(
        self, context: Context, metadata: Metadata, chunkservers: Chunkservers, locks: PathLocks
    ) -> None:
        self._rng = context.rng
        self._metadata = metadata
        self._chunkservers = chunkservers
        self._locks = locks

    def allocate(self, path: str, index: int) -> dict[str, Any]:
        """The location of the chunk at `index`, made first when the file has exactly `index` chunks, and copied
        first when it was in a snapshot.

        It is made on `limits.replicas` servers, at FIRST_VERSION. Another takes the place of one that refuses or does
        not answer: there are fewer only when no other is left to ask. NoReplica when nobody stores it; the file is as
        before then. Errors of Namespace; InvalidPath for what is hidden; NoSuchChunk for a gap or a negative index.
        """
        raise NotImplementedError(
            "lab 2 part B: hold the path's lock; reserve, create, add; creating.discard whatever "
            "happens. Part F: copy"
        )

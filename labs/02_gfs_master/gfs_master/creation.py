"""New chunks: from a file that ends to chunkservers that store an empty replica (GFS §2.4, §4.2).

    log ReserveHandle -> chunkservers create it -> log AddChunk -> answer

each durable before the next begins. A handle is reserved before anybody hears of it and never again, so a
crash in between leaves at most orphans, which garbage collection takes; the file has no half chunk. While
chunkservers are told, the handle is in `creating`, so that a heartbeat that lists it is not told to drop it.
"""

from __future__ import annotations

from typing import Any

from gfs_master.chunkservers import Chunkservers
from gfs_master.metadata import Metadata
from gfs_master.turns import Turns
from labkit import Context


class Creation:
    def __init__(self, context: Context, metadata: Metadata, chunkservers: Chunkservers) -> None:
        self._rng = context.rng
        self._metadata = metadata
        self._chunkservers = chunkservers
        self._turns = Turns()  # by path: two clients may ask for the same index

    def allocate(self, path: str, index: int) -> dict[str, Any]:
        """The location of the chunk at `index`, made first when the file has exactly `index` chunks.

        It is made on `limits.replicas` servers, on fewer when not more are alive or answer, at FIRST_VERSION.
        NoReplica when nobody stores it; the file is as before then. Errors of Namespace; NoSuchChunk for a
        gap or a negative index.
        """
        raise NotImplementedError(
            "lab 2 part B: hold the path's turn; reserve, create, add; creating.discard whatever happens"
        )

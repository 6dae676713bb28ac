"""Plain writes: bytes at an offset that the client chooses (GFS §2.7.1, §3.1).

A write that crosses from one chunk into the next is split into one mutation for each, and into more if it is large. Each
is ordered by its chunk's primary, and nobody orders them together: of two clients that write the same range at once, one
may come last in the first chunk and the other in the second. All replicas then agree on a mixture that nobody wrote:
consistent, but undefined.
"""

from __future__ import annotations

import itertools

from consistency.chunkservers import Chunkservers
from consistency.locations import Locations
from consistency.master import Master
from labkit import Context


class Writer:
    """Writes. `patience` is in seconds, for each piece; `client_id` makes data ids unique, if an Appender of the same client takes others."""

    def __init__(
        self,
        ctx: Context,
        master: Master,
        chunkservers: Chunkservers,
        locations: Locations,
        *,
        client_id: int,
        patience: float,
    ) -> None:
        self._ctx = ctx
        self._master = master
        self._chunkservers = chunkservers
        self._locations = locations
        self._client_id = client_id
        self._patience = patience
        self._pushes = itertools.count(1)

    def write(self, path: str, offset: int, data: bytes) -> None:
        """Write `data` at `offset` of the file, piece by piece, in file order. See `Client.write`.

        A piece is tried as an append is: `retry.after` says what the next attempt does differently, and a chunk that was in
        a snapshot is allocated again before. WriteFailed is definite exactly if no write request for any piece has left.
        """
        raise NotImplementedError(
            "lab 4 part A: divmod(offset, chunk_size), as in Reader.read; servers keep pushed data up "
            "to record_limit only"
        )

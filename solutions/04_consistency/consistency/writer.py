"""Plain writes: bytes at an offset that the client chooses (GFS §2.7.1, §3.1).

A write that crosses from one chunk into the next is split into one mutation for each, and into more if it is large. Each
is ordered by its chunk's primary, and nobody orders them together: of two clients that write the same range at once, one
may come last in the first chunk and the other in the second. All replicas then agree on a mixture that nobody wrote:
consistent, but undefined.
"""

from __future__ import annotations

import itertools

from consistency import retry
from consistency.chunkservers import Chunkservers
from consistency.failures import WriteFailed
from consistency.locations import Chunk, Locations
from consistency.master import Master
from consistency.patience import Patience
from consistency.retry import Next
from labkit import Context
from labkit.errors import LabError, NoSuchChunk, Unreachable


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
        # lab 4 part A: divmod(offset, chunk_size), as in Reader.read; servers keep pushed data up to record_limit only
        size, done = self._ctx.limits.chunk_size, 0
        while done < len(data):
            index, within = divmod(offset + done, size)
            piece = data[done : done + min(size - within, self._ctx.limits.record_limit)]
            self._piece(path, index, within, piece, begun=done > 0)
            done += len(piece)

    def _piece(self, path: str, index: int, within: int, piece: bytes, *, begun: bool) -> None:
        # lab 4 part A
        patience = Patience(self._ctx.clock.now(), self._patience, self._ctx.rng)
        sent, shared = begun, False
        while True:
            chunk: Chunk | None = None
            try:
                chunk = self._master.allocate(path, index) if shared else self._chunk(path, index)
                shared = False
                lease = self._master.lease(chunk.handle)
                data_id = f"{self._client_id:016x}-w{next(self._pushes)}"
                self._chunkservers.push((lease.primary, *lease.secondaries), data_id, piece)
                try:
                    self._chunkservers.write(lease.primary, chunk.handle, lease.version, within, data_id)
                except LabError as error:
                    sent = sent or not isinstance(error, Unreachable)
                    raise
                return
            except LabError as error:
                step = retry.after(error)
                pause = patience.pause(self._ctx.clock.now(), step.at_once)
                if step.next is Next.GIVE_UP or pause is None:
                    raise WriteFailed(f"{path}: not written: {error}", definite=not sent) from error
                if chunk is not None:
                    self._locations.forget_lease(chunk.handle)
                shared = shared or step.next is Next.COPY_CHUNK
                if step.next is Next.LOOK_AGAIN:
                    self._locations.forget(path)
            self._ctx.clock.sleep(pause)

    def _chunk(self, path: str, index: int) -> Chunk:
        # lab 4 part A
        try:
            return self._master.locate(path, index)
        except NoSuchChunk:
            # The file ends before: it grows chunk by chunk, and whoever else makes one makes the same.
            for number in range(self._master.chunk_count(path), index):
                self._master.allocate(path, number)
            return self._master.allocate(path, index)

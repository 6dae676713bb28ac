"""Reading: from any replica, but only from one that may be believed (GFS §2.4, §2.7, §4.5).

Replicas may differ: in length, and wherever an append failed. What was acknowledged is on every replica
that is up to date. So one such replica is enough to read from, and one that is not must not be taken: it
answers as willingly as the others and may lack anything. The version tells them apart.

Invariant: no answer is ever a part of the answer. Either every chunk was read from its beginning to its end
from one replica of at least the version the master told, or an error is raised.

Opening a file means asking the master anew. With cached locations a reader may meet a replica that missed
mutations and whose version still is the one in the cache: stale, for as long as the cache lives.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from consistency import records
from consistency.chunkservers import Chunkservers
from consistency.failures import ReadFailed
from consistency.locations import Chunk, Locations
from consistency.master import Master
from consistency.patience import Patience
from consistency.records import Found
from labkit import Context
from labkit.errors import InvalidPath, LabError, NoSuchChunk, NoSuchFile, StaleVersion

READ_SIZE = 1024 * 1024  # bytes asked for at once

T = TypeVar("T")


class Reader:
    """Reads files. `patience` is in seconds, and for each chunk anew."""

    def __init__(
        self,
        ctx: Context,
        master: Master,
        chunkservers: Chunkservers,
        locations: Locations,
        patience: float,
    ) -> None:
        self._ctx = ctx
        self._master = master
        self._chunkservers = chunkservers
        self._locations = locations
        self._patience = patience

    def scan(self, path: str, *, fresh: bool) -> list[Found]:
        """All records of the file in file order, copies included. See `Client.scan`.

        Asks how many chunks there are, then reads each whole chunk (with `chunk`) and looks for records in
        it. A chunk is scanned by itself, since no record crosses into the next.
        """
        # lab 4 part B: scan_from the first chunk
        return self.scan_from(path, 0, fresh=fresh)[0]

    def scan_from(self, path: str, first: int, *, fresh: bool = True) -> tuple[list[Found], int]:
        """The same from the chunk at index `first` on, and how many chunks the file has."""
        # lab 4 part B: a record's offset counts from the start of the file, so give the chunk's start as base
        size = self._ctx.limits.chunk_size
        count = self._patiently(f"{path}: its chunks", lambda: self._master.chunk_count(path))
        found: list[Found] = []
        for index in range(first, count):
            data = self.chunk(path, index, 0, size, fresh=fresh)
            found.extend(records.scan(data, index * size).records)
        return found, count

    def read(self, path: str, offset: int, length: int) -> bytes:
        """Bytes of the file from `offset` on. See `Client.read`.

        Where a replica ends before its chunk does, either the file ends there too (no chunk follows) or
        there is a hole. If a chunk follows, the piece is read once more before the rest counts as a hole,
        because the missing bytes may have come while the master was asked.
        """
        # lab 4 part A: divmod(offset, chunk_size); NoSuchChunk from self.chunk means the end of the file
        size = self._ctx.limits.chunk_size
        pieces: list[bytes] = []
        while length > 0:
            index, within = divmod(offset, size)
            want = min(length, size - within)
            try:
                piece = self.chunk(path, index, within, want)
            except NoSuchChunk:
                break
            if len(piece) < want:
                if self._is_last(path, index):
                    pieces.append(piece)
                    break
                piece = self.chunk(path, index, within, want).ljust(want, b"\0")
            pieces.append(piece)
            offset, length = offset + want, length - want
        return b"".join(pieces)

    def chunk(self, path: str, index: int, offset: int, length: int, *, fresh: bool = False) -> bytes:
        """Up to `length` bytes at `offset` of one chunk, all from one replica; fewer only at its end.

        Locates the chunk (at the master if `fresh`) and tries its replicas in an order drawn from
        `ctx.rng`, each in reads of at most READ_SIZE bytes. Whatever a replica answers but bytes makes it
        useless, and so does a version lower than the one the chunk was located with: it missed mutations.
        If none will do, what is known of the chunk's place is forgotten, and after a rest all is tried
        again, since the list may have been old, or empty for now, or its servers out of reach.

        NoSuchFile, InvalidPath, NoSuchChunk: the master says so. ReadFailed: patience has run out.
        """
        # lab 4 part A: an attempt is: locate, then each replica in turn; loop over attempts with one Patience

        def attempt() -> bytes:
            chunk = self._master.locate(path, index, fresh=fresh)
            try:
                return self._from_any_replica(chunk, offset, length)
            except ReadFailed:
                self._locations.forget_chunk(path, index)
                raise

        return self._patiently(f"{path}: chunk {index}", attempt)

    def _from_any_replica(self, chunk: Chunk, offset: int, length: int) -> bytes:
        # lab 4 part A
        failure: LabError | None = None
        for replica in self._ctx.rng.sample(chunk.replicas, len(chunk.replicas)):
            try:
                return self._from_replica(replica, chunk, offset, length)
            except LabError as error:
                self._ctx.annotate("replica skipped", replica=replica, handle=chunk.handle, error=str(error))
                failure = error
        tried = ", ".join(chunk.replicas) or "none"
        raise ReadFailed(f"no usable replica of chunk {chunk.handle}; known replicas: {tried}") from failure

    def _from_replica(
        self, replica: str, chunk: Chunk, offset: int, length: int, *, leased: bool = False
    ) -> bytes:
        # lab 4 part A
        data = bytearray()
        while len(data) < length:
            want = min(READ_SIZE, length - len(data))
            part = self._chunkservers.read(replica, chunk.handle, offset + len(data), want, leased=leased)
            # A newer version is welcome: only replicas that were up to date are taken along to it.
            if part.version < chunk.version:
                raise StaleVersion(f"{replica} has version {part.version}, current is {chunk.version}")
            data += part.data
            if offset + len(data) >= part.length:
                break
        return bytes(data)

    def _is_last(self, path: str, index: int) -> bool:
        # lab 4 part A
        return index + 1 >= self._patiently(f"{path}: its chunks", lambda: self._master.chunk_count(path))

    def _patiently(self, what: str, attempt: Callable[[], T]) -> T:
        # lab 4 part A
        patience = Patience(self._ctx.clock.now(), self._patience, self._ctx.rng)
        while True:
            try:
                return attempt()
            except (NoSuchFile, InvalidPath, NoSuchChunk):
                raise
            except LabError as error:
                pause = patience.pause(self._ctx.clock.now())
                if pause is None:
                    raise ReadFailed(f"cannot read {what}: {error}") from error
            self._ctx.clock.sleep(pause)

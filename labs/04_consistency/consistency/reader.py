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

from typing import TypeVar

from consistency.chunkservers import Chunkservers
from consistency.locations import Locations
from consistency.master import Master
from consistency.records import Found
from labkit import Context

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
        raise NotImplementedError("lab 4 part B: scan_from the first chunk")

    def scan_from(self, path: str, first: int, *, fresh: bool = True) -> tuple[list[Found], int]:
        """The same from the chunk at index `first` on, and how many chunks the file has."""
        raise NotImplementedError(
            "lab 4 part B: a record's offset counts from the start of the file, so give the chunk's "
            "start as base"
        )

    def read(self, path: str, offset: int, length: int) -> bytes:
        """Bytes of the file from `offset` on. See `Client.read`.

        Where a replica ends before its chunk does, either the file ends there too (no chunk follows) or
        there is a hole. If a chunk follows, the piece is read once more before the rest counts as a hole,
        because the missing bytes may have come while the master was asked.
        """
        raise NotImplementedError(
            "lab 4 part A: divmod(offset, chunk_size); NoSuchChunk from self.chunk means the end of the file"
        )

    def chunk(self, path: str, index: int, offset: int, length: int, *, fresh: bool = False) -> bytes:
        """Up to `length` bytes at `offset` of one chunk, all from one replica; fewer only at its end.

        Locates the chunk (at the master if `fresh`) and tries its replicas in an order drawn from
        `ctx.rng`, each in reads of at most READ_SIZE bytes. Whatever a replica answers but bytes makes it
        useless, and so does a version lower than the one the chunk was located with: it missed mutations.
        If none will do, what is known of the chunk's place is forgotten, and after a rest all is tried
        again, since the list may have been old, or empty for now, or its servers out of reach.

        NoSuchFile, InvalidPath, NoSuchChunk: the master says so. ReadFailed: patience has run out.
        """
        raise NotImplementedError(
            "lab 4 part A: an attempt is: locate, then each replica in turn; loop over attempts with "
            "one Patience"
        )

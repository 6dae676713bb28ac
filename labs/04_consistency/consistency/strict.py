"""A stricter chunkserver: no record twice in a chunk (GFS leaves duplicates, §2.7.2).

A client that heard nothing appends again under the same identity. GFS's primary appends again too; this one
finds the record in its book (book.py) and answers where it is. That is an acknowledgement, so the record must be on
all replicas first, at that offset. Holes cannot be filled later, for nothing that a replica holds is ever written
over, except from some place to its end. So one rule keeps every replica completable:

    Nothing new begins before the last piece is on every replica.

A primary whose append failed somewhere therefore first completes that append, whoever asks next. A new
primary has only its own replica to go by. Whatever it lacks was never acknowledged; what it has behind all others is
one piece at most, its last, which it completes before anything else. A secondary that has the bytes already keeps them
(cutting and writing again would risk what was acknowledged), and one that has something else there, the last piece
of a primary that died, gives it up.

What this promises, together with a client that stays with a chunk while its record may be in it (appender.py): each
record stands once in the file, whoever died, and once the next append is through, on all replicas or on none. A new
primary keeps what any of the others had (`recover`). Who reads from the primary by `leased_read` reads nothing stale (leased.py).
What it does not promise: anything for a record that the application appends again after its client has given up, once the
file has a new chunk; that the replicas of a chunk in a snapshot agree, for what was in doubt then is completed in its
copies only; plain writes, which it refuses; speed, since appends to one chunk are one at a time, and a new
primary reads its whole replica.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import chunkserver
from chunkserver.buffer import DataBuffer
from chunkserver.forwarding import Forwarder
from chunkserver.leases import Lease, Leases
from chunkserver.mutations import Mutation, Orders
from chunkserver.replica import Replica
from chunkserver.store import Store
from rpc import Reply, RetryPolicy

from consistency.book import Book, Piece
from labkit import Context
from labkit.disk import Buffer
from labkit.errors import BadArguments

DETECT, COMPLETE, RECOVER = "no duplicates", "all or none", "recovery"
# All of them, unless ctx.config["measures"] names some. Each one needs those behind it here.
MEASURES = (RECOVER, DETECT, COMPLETE)

# With what `apply` takes (forwarding.py), less than a client waits for its append.
PUSH = RetryPolicy(first_timeout=1.5, factor=1.0, attempts=2)


class StrictPrimary(chunkserver.Primary):
    """The primary's side of a mutation, in place of lab 3's."""

    def __init__(
        self,
        ctx: Context,
        store: Store,
        orders: Orders,
        leases: Leases,
        buffer: DataBuffer,
        forwarder: Forwarder,
    ) -> None:
        super().__init__(ctx, store, orders, leases, buffer, forwarder)
        self._ctx = ctx
        self._store = store
        self._orders = orders
        self._leases = leases
        self._buffer = buffer
        self._forwarder = forwarder
        self._books: dict[int, Book] = {}
        self._turns: dict[int, threading.Lock] = {}
        self._lock = threading.Lock()
        self._measures = frozenset(map(str, ctx.config.get("measures", MEASURES)))

    def handlers(self) -> dict[str, Callable[..., Any]]:
        return {**super().handlers(), "leased_read": self.leased_read}

    def append(self, handle: int, version: int, data_id: str) -> dict[str, Any]:
        """Have pushed data, one record, on all replicas at one offset: RPC `append`. {"offset": where it is}.

        One append to a chunk at a time, the others wait. `book` admits it; `complete` finishes what is in
        doubt; if the record's identity is in the book by then, that is where it is; else it goes to the end
        of the replica, in doubt until all secondaries have it.

        NotPrimary, StaleVersion, UnknownData, ReplicaFailed as ever. BadArguments if the data is no record.
        ChunkFull when the record is not in the chunk, does not fit, and all replicas are padded to the end.
        """
        raise NotImplementedError(
            "lab 4 part E: after `place`, number the mutation (Order.issued) under replica.changed; "
            "then Forwarder.apply"
        )

    def write(self, handle: int, version: int, offset: int, data_id: str) -> dict[str, Any]:
        """Refused, whatever it asks: RPC `write`. BadArguments.

        None of the promises above could be kept for it. It would write over records that the book says are there, and
        the piece in doubt would no longer be the last one.
        """
        raise BadArguments("this chunkserver holds records only: append, or write to a file of a plain one")

    def leased_read(self, handle: int, offset: int, length: int) -> Reply:
        """What is on all replicas, from the only server that can know: RPC `leased_read`.

        In turn with appends, so that nothing is under way; what is in doubt is completed first. NotPrimary unless
        the lease holds when the bytes are read: until then no other primary can have acknowledged anything.
        """
        raise NotImplementedError(
            "lab 4 part E: the lease says the version; recover and complete as append does, then admit "
            "once more and read"
        )

    def turn(self, handle: int) -> threading.Lock:
        """The lock of whoever appends to the chunk. Not `replica.changed`, for it is held while others are asked."""
        with self._lock:
            return self._turns.setdefault(handle, threading.Lock())

    def book(self, replica: Replica, version: int) -> tuple[Book, Lease]:
        """The book of the replica, and the lease that `admit` finds.

        A book is good for one version: with the next, another may have been primary in between. Then, and the
        first time, it is read from the replica.
        """
        raise NotImplementedError(
            "lab 4 part E: under replica.changed; Replica.read gives all its bytes, verified"
        )

    def admit(self, replica: Replica, version: int) -> Lease:
        """The lease that is valid now, at `version`; NotPrimary, StaleVersion. Call under `replica.changed`."""
        raise NotImplementedError("lab 4 part E: lab 3's primary does the same")

    def recover(self, replica: Replica, book: Book, lease: Lease) -> None:
        """Once for each version: take over what another replica has behind the end of this one.

        By the rule that is one piece at most, the last one of the primary that died. Nobody was told of it, but
        somebody may have read it. ReplicaFailed if a secondary does not answer.
        """
        raise NotImplementedError(
            "lab 4 part E: RPC `read` from each secondary, from replica.length on; `tail` and `place` "
            "the longest"
        )

    def complete(self, replica: Replica, book: Book, lease: Lease) -> None:
        """Get the piece in doubt, if there is one, onto all secondaries. ReplicaFailed if one does not take it.

        Its data is pushed again, from this replica: nobody may have kept it.
        """
        raise NotImplementedError(
            "lab 4 part E: RPC `push` to the first secondary with the others as chain, then as with a "
            "new piece"
        )

    def place(self, replica: Replica, book: Book, piece: Piece, data_id: str | None, data: Buffer) -> None:
        """Write a new piece here, at the end; it is in doubt from now on. `data_id` None: padding. See `admit`."""
        raise NotImplementedError(
            "lab 4 part E: under replica.changed, admitted once more; forget the book if the disk will "
            "not write"
        )


class StrictSecondary(chunkserver.Secondary):
    """The secondary's side: it may be told something again, and is never told something too early."""

    def perform(self, mutation: Mutation, replica: Replica, data: Buffer) -> None:
        """Do the mutation, unless the replica has these very bytes at its offset already.

        What else lies at its offset or behind is cut off, as ever. OutOfOrder if the replica ends before it:
        a hole could never be filled.
        """
        raise NotImplementedError(
            "lab 4 part E: compare with Replica.read first; super().perform does the rest"
        )


def start_strict_chunkserver(ctx: Context) -> chunkserver.Chunkserver:
    """A chunkserver that leaves no duplicates; otherwise like `chunkserver.start`."""
    return chunkserver.start(ctx, StrictPrimary, StrictSecondary)

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
from contextlib import closing
from typing import Any

import chunkserver
from chunkserver.buffer import DataBuffer
from chunkserver.forwarding import Forwarder
from chunkserver.leases import Lease, Leases
from chunkserver.mutations import Mutation, Orders, require_version
from chunkserver.replica import Replica
from chunkserver.store import Store
from rpc import Client, Reply, RetryPolicy

from consistency.book import Book, Piece, identity, read_book, tail
from labkit import Context
from labkit.disk import Buffer
from labkit.errors import (
    BadArguments,
    ChunkFull,
    LabError,
    NotPrimary,
    OutOfOrder,
    ReplicaFailed,
    UnknownData,
)

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
        # lab 4 part E: after `place`, number the mutation (Order.issued) under replica.changed; then Forwarder.apply
        replica = self._store.get(handle)
        data = self._buffer.get(data_id)
        with self.turn(handle):
            book, lease = self.book(replica, version)
            if data is None:
                raise UnknownData(f"no data {data_id!r} here")
            name = identity(bytes(data))
            self.recover(replica, book, lease)
            self.complete(replica, book, lease)
            if name not in book.offsets or DETECT not in self._measures:
                piece = Piece(replica.length, len(data))
                if piece.offset + piece.length > self._ctx.limits.chunk_size:
                    self._seal(replica, book, lease)
                    raise ChunkFull(f"chunk {handle} is full")
                self.place(replica, book, piece, data_id, data)
                book.offsets[name] = piece.offset
                self._spread(replica, book, data_id, lease)
            return {"offset": book.offsets[name]}

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
        # lab 4 part E: the lease says the version; recover and complete as append does, then admit once more and read
        replica = self._store.get(handle)
        with self.turn(handle):
            lease = self._leases.current(handle, self._ctx.clock.now())
            if lease is None:
                raise NotPrimary(f"no lease on chunk {handle}")
            book, lease = self.book(replica, lease.version)
            self.recover(replica, book, lease)
            self.complete(replica, book, lease)
            with replica.changed:
                self.admit(replica, book.version)
                version, total, data = replica.read(offset, length)
            return Reply({"version": version, "length": total}, data)

    def turn(self, handle: int) -> threading.Lock:
        """The lock of whoever appends to the chunk. Not `replica.changed`, for it is held while others are asked."""
        with self._lock:
            return self._turns.setdefault(handle, threading.Lock())

    def book(self, replica: Replica, version: int) -> tuple[Book, Lease]:
        """The book of the replica, and the lease that `admit` finds.

        A book is good for one version: with the next, another may have been primary in between. Then, and the
        first time, it is read from the replica.
        """
        # lab 4 part E: under replica.changed; Replica.read gives all its bytes, verified
        with replica.changed:
            lease = self.admit(replica, version)
            book = self._books.get(replica.handle)
            if book is None or book.version != version:
                _, _, held = replica.read(0, replica.length)
                book = read_book(version, bytes(held), self._ctx.limits.chunk_size)
                self._books[replica.handle] = book
            return book, lease

    def admit(self, replica: Replica, version: int) -> Lease:
        """The lease that is valid now, at `version`; NotPrimary, StaleVersion. Call under `replica.changed`."""
        # lab 4 part E: lab 3's primary does the same
        lease = self._leases.current(replica.handle, self._ctx.clock.now())
        if lease is None:
            raise NotPrimary(f"no lease on chunk {replica.handle}")
        require_version(replica, version)
        require_version(replica, lease.version)
        return lease

    def recover(self, replica: Replica, book: Book, lease: Lease) -> None:
        """Once for each version: take over what another replica has behind the end of this one.

        By the rule that is one piece at most, the last one of the primary that died. Nobody was told of it, but
        somebody may have read it. ReplicaFailed if a secondary does not answer.
        """
        # lab 4 part E: RPC `read` from each secondary, from replica.length on; `tail` and `place` the longest
        if book.compared or RECOVER not in self._measures:
            return
        found: tuple[Piece, bytes] | None = None
        end, size = replica.length, self._ctx.limits.chunk_size
        with closing(Client(self._ctx)) as client:
            for name in lease.secondaries:
                args = {"handle": replica.handle, "offset": end, "length": size - end}
                try:
                    reply = client.call(name, "read", args, at_most_once=False, policy=PUSH)
                except LabError as error:
                    raise ReplicaFailed(f"{name} did not say what it has: {error}") from error
                piece = tail(end, bytes(reply.payload), size)
                if piece is not None and (found is None or piece.length > found[0].length):
                    found = piece, bytes(reply.payload)
        if found is not None:
            piece, data = found
            self.place(replica, book, piece, None if piece.padding else "recovered", data)
            if not piece.padding:
                book.offsets.setdefault(identity(data), piece.offset)
        book.compared = True

    def complete(self, replica: Replica, book: Book, lease: Lease) -> None:
        """Get the piece in doubt, if there is one, onto all secondaries. ReplicaFailed if one does not take it.

        Its data is pushed again, from this replica: nobody may have kept it.
        """
        # lab 4 part E: RPC `push` to the first secondary with the others as chain, then as with a new piece
        piece = book.in_doubt
        if piece is None or not lease.secondaries or COMPLETE not in self._measures:
            book.in_doubt = None
            return
        data_id = None
        if not piece.padding:
            data_id = f"{self._ctx.name}-{self._ctx.rng.getrandbits(64):016x}"
            _, _, data = replica.read(piece.offset, piece.length)
            first, *chain = lease.secondaries
            try:
                with closing(Client(self._ctx)) as client:
                    args = {"data_id": data_id, "offset": 0, "total": len(data), "chain": chain}
                    client.call(first, "push", args, data, at_most_once=False, policy=PUSH)
            except LabError as error:
                raise ReplicaFailed(f"not pushed to {', '.join(lease.secondaries)}: {error}") from error
        self._spread(replica, book, data_id, lease)

    def place(self, replica: Replica, book: Book, piece: Piece, data_id: str | None, data: Buffer) -> None:
        """Write a new piece here, at the end; it is in doubt from now on. `data_id` None: padding. See `admit`."""
        # lab 4 part E: under replica.changed, admitted once more; forget the book if the disk will not write
        with replica.changed:
            self.admit(replica, book.version)
            book.in_doubt = piece
            mutation = Mutation(replica.handle, book.version, 0, piece.offset, data_id)
            try:
                mutation.apply_to(replica, data, self._ctx.limits.chunk_size)
            except OSError as error:
                del self._books[replica.handle]
                raise ReplicaFailed(f"the primary could not write: {error}") from error

    def _seal(self, replica: Replica, book: Book, lease: Lease) -> None:
        # lab 4 part E
        end = replica.length
        if end < self._ctx.limits.chunk_size:
            piece = Piece(end, self._ctx.limits.chunk_size - end, padding=True)
            self.place(replica, book, piece, None, b"")
            self._spread(replica, book, None, lease)

    def _spread(self, replica: Replica, book: Book, data_id: str | None, lease: Lease) -> None:
        # lab 4 part E
        piece = book.in_doubt
        assert piece is not None
        with replica.changed:
            require_version(replica, book.version)
            order = self._orders.of(replica)
            order.issued += 1
            mutation = Mutation(replica.handle, book.version, order.issued, piece.offset, data_id)
        missing = self._forwarder.apply(mutation, lease.secondaries)
        if missing:
            raise ReplicaFailed(f"not applied by {', '.join(missing)}")
        book.in_doubt = None


class StrictSecondary(chunkserver.Secondary):
    """The secondary's side: it may be told something again, and is never told something too early."""

    def perform(self, mutation: Mutation, replica: Replica, data: Buffer) -> None:
        """Do the mutation, unless the replica has these very bytes at its offset already.

        What else lies at its offset or behind is cut off, as ever. OutOfOrder if the replica ends before it:
        a hole could never be filled.
        """
        # lab 4 part E: compare with Replica.read first; super().perform does the rest
        if mutation.offset > replica.length:
            raise OutOfOrder(f"the replica ends at {replica.length}, before {mutation.offset}")
        size = self._ctx.limits.chunk_size
        wanted = bytes(data) if mutation.data_id is not None else bytes(size - mutation.offset)
        _, _, held = replica.read(mutation.offset, len(wanted))
        if bytes(held) == wanted:
            return
        super().perform(mutation, replica, data)


def start_strict_chunkserver(ctx: Context) -> chunkserver.Chunkserver:
    """A chunkserver that leaves no duplicates; otherwise like `chunkserver.start`."""
    return chunkserver.start(ctx, StrictPrimary, StrictSecondary)

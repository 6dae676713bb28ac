"""A stricter chunkserver whose primary has no memory but its replica.

Before anything else, every time: what do the others have behind my end? That is one piece at most; it is taken over. Then the
last piece of the chunk is brought to all of them. Only then is the record looked for, and appended if it is not there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import chunkserver
from chunkserver.buffer import DataBuffer
from chunkserver.forwarding import Forwarder
from chunkserver.leases import Lease, Leases
from chunkserver.mutations import Mutation, Orders, require_version
from chunkserver.replica import Replica
from chunkserver.store import Store
from consistency.records import RecordId, Scan, scan
from rpc import Client, Reply, RetryPolicy

from labkit import Context
from labkit.checksum import crc32c
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

SOON = RetryPolicy(first_timeout=1.0, factor=1.0, longest=1.0, attempts=2, jitter=0.1)


class Piece(NamedTuple):
    """The last thing in a replica: its bytes, and where they begin."""

    offset: int
    data: bytes
    padding: bool


def last_piece(held: bytes, chunk_size: int) -> Piece | None:
    found: Scan = scan(held)
    ends = [(one.offset, one.length) for one in found.skipped]
    rest = next((offset for offset, length in ends if offset + length == len(held)), None)
    if rest is None:
        rest = found.records[-1].offset if found.records else 0
    data = held[rest:]
    return Piece(rest, data, len(held) == chunk_size and not any(data)) if data else None


class StrictPrimary(chunkserver.Primary):
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
        self.ctx, self.store, self.orders, self.leases = ctx, store, orders, leases
        self.buffer, self.forwarder, self.client = buffer, forwarder, Client(ctx)
        self.busy: set[int] = set()
        self.turns = threading.Condition()

    def handlers(self) -> dict[str, Callable[..., Any]]:
        return {**super().handlers(), "leased_read": self.leased_read}

    def append(self, handle: int, version: int, data_id: str) -> dict[str, Any]:
        replica, data = self.store.get(handle), self.buffer.get(data_id)

        def work() -> dict[str, Any]:
            lease = self.lease(replica, version)
            if data is None:
                raise UnknownData("what record?")
            frame = bytes(data)
            name = self.name_of(frame)
            found = self.agree(replica, lease)
            for one in found.records:
                if one.record_id == name:
                    return {"offset": one.offset}
            end, size = replica.length, self.ctx.limits.chunk_size
            if end + len(frame) > size:
                if end < size:
                    self.bring(replica, lease, Piece(end, bytes(size - end), True), new=True)
                raise ChunkFull("and it is not in here")
            self.bring(replica, lease, Piece(end, frame, False), new=True)
            return {"offset": end}

        return self.in_turn(handle, work)

    def leased_read(self, handle: int, offset: int, length: int) -> Reply:
        replica = self.store.get(handle)

        def work() -> Reply:
            self.agree(replica, self.lease(replica, replica.version))
            with replica.changed:
                self.lease(replica, replica.version)
                version, total, data = replica.read(offset, length)
            return Reply({"version": version, "length": total}, bytes(data))

        return self.in_turn(handle, work)

    def in_turn(self, handle: int, work: Callable[[], Any]) -> Any:
        with self.turns:
            self.turns.wait_for(lambda: handle not in self.busy)
            self.busy.add(handle)
        try:
            return work()
        finally:
            with self.turns:
                self.busy.discard(handle)
                self.turns.notify_all()

    def lease(self, replica: Replica, version: int) -> Lease:
        with replica.changed:
            lease = self.leases.current(replica.handle, self.ctx.clock.now())
            if lease is None:
                raise NotPrimary("not any more, or not yet")
            for wanted in (version, lease.version):
                require_version(replica, wanted)
            return lease

    def name_of(self, frame: bytes) -> RecordId:
        found = scan(frame)
        if found.skipped or len(found.records) != 1:
            raise BadArguments("one record at a time")
        return found.records[0].record_id

    def agree(self, replica: Replica, lease: Lease) -> Scan:
        """Everybody has what anybody has. What that is."""
        end, size = replica.length, self.ctx.limits.chunk_size
        longest = b""
        for name in lease.secondaries:
            args = {"handle": replica.handle, "offset": end, "length": size - end}
            try:
                reply = self.client.call(name, "read", args, at_most_once=False, policy=SOON)
            except LabError as error:
                raise ReplicaFailed(f"{name} does not say what it has") from error
            longest = max(longest, bytes(reply.payload), key=len)
        if longest:
            padding = end + len(longest) == size and not any(longest)
            self.write_here(replica, lease, Piece(end, longest, padding))
        held = bytes(replica.read(0, replica.length)[2])
        piece = last_piece(held, size)
        if piece is not None:
            self.bring(replica, lease, piece, new=False)
        return scan(held)

    def bring(self, replica: Replica, lease: Lease, piece: Piece, *, new: bool) -> None:
        """Have the piece on all secondaries; a new one is written here first, in the secondaries' arms already."""
        data_id = None
        if not piece.padding:
            data_id = f"{self.ctx.name}/{self.ctx.rng.getrandbits(60):x}"
            args = {"data_id": data_id, "offset": 0, "total": len(piece.data), "chain": []}
            for name in lease.secondaries:
                try:
                    self.client.call(name, "push", args, piece.data, at_most_once=False, policy=SOON)
                except LabError as error:
                    raise ReplicaFailed(f"{name} does not take the data") from error
        with replica.changed:
            self.lease(replica, lease.version)
            if new:
                self.write_here(replica, lease, piece)
            order = self.orders.of(replica)
            order.issued += 1
            mutation = Mutation(replica.handle, lease.version, order.issued, piece.offset, data_id)
        if missing := self.forwarder.apply(mutation, lease.secondaries):
            raise ReplicaFailed(f"{missing} did not do it")

    def write_here(self, replica: Replica, lease: Lease, piece: Piece) -> None:
        with replica.changed:
            self.lease(replica, lease.version)
            data_id = None if piece.padding else "here"
            mutation = Mutation(replica.handle, lease.version, 0, piece.offset, data_id)
            try:
                mutation.apply_to(replica, piece.data, self.ctx.limits.chunk_size)
            except OSError as error:
                raise ReplicaFailed("not even here") from error


class StrictSecondary(chunkserver.Secondary):
    def perform(self, mutation: Mutation, replica: Replica, data: Buffer) -> None:
        end = replica.length
        if end < mutation.offset:
            raise OutOfOrder("there would be a hole")
        if mutation.data_id is None:
            data = bytes(self._ctx.limits.chunk_size - mutation.offset)
        held = bytes(replica.read(mutation.offset, len(data))[2])
        if (len(held), crc32c(held)) != (len(data), crc32c(bytes(data))):
            super().perform(mutation, replica, data)


def start_strict_chunkserver(ctx: Context) -> chunkserver.Chunkserver:
    return chunkserver.start(ctx, StrictPrimary, StrictSecondary)

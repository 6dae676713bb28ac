"""Mutations at the primary: record append, and write (GFS §3.1 steps 4 to 7, §3.3).

The primary applies a mutation to its own replica first and numbers it, both under the chunk's lock, so that
offsets and numbers rise together. The lock is released before the secondaries are asked: many mutations are
on their way at once, and the secondaries put them in order.

An append is acknowledged only when every replica of this version has it durably. If any says no, or nothing,
the region is inconsistent, the client hears ReplicaFailed, and the primary's own copy stays where it is: the
next append goes behind it. If the lease passes to another primary meanwhile, the version goes up first, and
replicas that know refuse; those that did not yet know have the mutation, and so has whoever becomes primary.

A write is the same with an offset that the client chose. Writes side by side to one region are put in one order,
so all replicas end with the same bytes there, though perhaps with pieces of both: consistent, but undefined (§2.7).

ChunkFull, too, is answered only when every replica has been padded to its end. Otherwise a later primary
whose replica missed the padding could take a record in front of one already acknowledged in the next chunk.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chunkserver.buffer import DataBuffer
from chunkserver.forwarding import Forwarder
from chunkserver.leases import Lease, Leases
from chunkserver.mutations import Mutation, Order, Orders, require_version
from chunkserver.replica import Replica
from chunkserver.store import Store
from labkit import Context
from labkit.disk import Buffer
from labkit.errors import BadArguments, ChunkFull, NotPrimary, ReplicaFailed, TooLarge, UnknownData


class Primary:
    """The primary's side of a mutation."""

    def __init__(
        self,
        ctx: Context,
        store: Store,
        orders: Orders,
        leases: Leases,
        buffer: DataBuffer,
        forwarder: Forwarder,
    ) -> None:
        self._ctx = ctx
        self._store = store
        self._orders = orders
        self._leases = leases
        self._buffer = buffer
        self._forwarder = forwarder

    def handlers(self) -> dict[str, Callable[..., Any]]:
        """The methods of the catalogue that a primary answers."""
        return {"append": self.append, "write": self.write}

    def append(self, handle: int, version: int, data_id: str) -> dict[str, Any]:
        """Append pushed data as one record on all replicas: RPC `append`. {"offset": where it is}.

        NotPrimary without a valid lease; StaleVersion when the lease is of another version; UnknownData when
        the data is not here; TooLarge above `limits.record_limit`; ChunkFull when the record did not fit and
        all replicas are padded; ReplicaFailed when some replica did not answer that it applied the mutation.
        """
        # lab 3 part D: admit, decide and apply here under replica.changed; then, without it, on the secondaries.
        replica = self._store.get(handle)
        data = self._buffer.get(data_id)
        with replica.changed:
            lease = self._admit(replica, version)
            if data is None:
                raise UnknownData(f"no data {data_id!r} here")
            if len(data) > self._ctx.limits.record_limit:
                raise TooLarge(f"{len(data)} bytes; a record has at most {self._ctx.limits.record_limit}")
            order = self._orders.of(replica)
            mutation = self._next_mutation(replica, order, data_id, data)
            self._apply_here(replica, order, mutation, data)
        self._apply_there(mutation, lease)
        if mutation.data_id is None:
            order.sealed = True
            raise ChunkFull(f"chunk {handle} is full")
        return {"offset": mutation.offset}

    def write(self, handle: int, version: int, offset: int, data_id: str) -> dict[str, Any]:
        """Write pushed data at `offset` on all replicas: RPC `write`.

        Errors as for `append`, but those about room: BadArguments when the data reaches out of the chunk.
        """
        # lab 3 part C: like append, but the offset is the client's and the mutation overwrites.
        replica = self._store.get(handle)
        data = self._buffer.get(data_id)
        with replica.changed:
            lease = self._admit(replica, version)
            if data is None:
                raise UnknownData(f"no data {data_id!r} here")
            if offset < 0 or offset + len(data) > self._ctx.limits.chunk_size:
                raise BadArguments(f"{len(data)} bytes at {offset} reach out of the chunk")
            order = self._orders.of(replica)
            mutation = Mutation(handle, version, order.issued + 1, offset, data_id, overwrite=True)
            self._apply_here(replica, order, mutation, data)
        self._apply_there(mutation, lease)
        return {}

    def _admit(self, replica: Replica, version: int) -> Lease:
        # lab 3 part D
        lease = self._leases.current(replica.handle, self._ctx.clock.now())
        if lease is None:
            raise NotPrimary(f"no lease on chunk {replica.handle}")
        require_version(replica, version)
        require_version(replica, lease.version)
        return lease

    def _next_mutation(self, replica: Replica, order: Order, data_id: str, data: Buffer) -> Mutation:
        # lab 3 part D
        serial, end = order.issued + 1, replica.length
        if end + len(data) <= self._ctx.limits.chunk_size:
            return Mutation(replica.handle, replica.version, serial, end, data_id)
        if order.sealed:
            raise ChunkFull(f"chunk {replica.handle} is full")
        # At the very end this pads nothing here, and on the secondaries only what they have missed.
        return Mutation(replica.handle, replica.version, serial, end, None)

    def _apply_here(self, replica: Replica, order: Order, mutation: Mutation, data: Buffer) -> None:
        # lab 3 part D
        try:
            mutation.apply_to(replica, data, self._ctx.limits.chunk_size)
        except OSError as error:
            raise ReplicaFailed(f"the primary could not write: {error}") from error
        # Numbered only now: a number that the secondaries never hear of would keep them waiting.
        order.issued = mutation.serial
        self._ctx.annotate("applied", handle=mutation.handle, serial=mutation.serial, offset=mutation.offset)

    def _apply_there(self, mutation: Mutation, lease: Lease) -> None:
        # lab 3 part D
        missing = self._forwarder.apply(mutation, lease.secondaries)
        if missing:
            raise ReplicaFailed(f"not applied by {', '.join(missing)}")

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
from chunkserver.leases import Leases
from chunkserver.mutations import Orders
from chunkserver.store import Store
from labkit import Context


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
        raise NotImplementedError(
            "lab 3 part D: admit, decide and apply here under replica.changed; then, without it, on the "
            "secondaries."
        )

    def write(self, handle: int, version: int, offset: int, data_id: str) -> dict[str, Any]:
        """Write pushed data at `offset` on all replicas: RPC `write`.

        Errors as for `append`, but those about room: BadArguments when the data reaches out of the chunk.
        """
        raise NotImplementedError(
            "lab 3 part C: like append, but the offset is the client's and the mutation overwrites."
        )

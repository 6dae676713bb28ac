"""Mutations, and how a secondary applies them (GFS §3.1, §3.3).

Serial numbers belong to a version: when the version goes up, a new `Order` begins, and mutations of the old
one that still wait are refused. So a primary whose lease has passed to another can never slip a
mutation in among those of its successor. Versions and order are read and changed under the replica's lock
`changed` only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from chunkserver.buffer import DataBuffer
from chunkserver.replica import Replica
from chunkserver.serials import Turns
from chunkserver.store import Store
from labkit import Context, Limits
from labkit.disk import Buffer


@dataclass(frozen=True, slots=True)
class Mutation:
    """Number `serial` of chunk `handle` at `version`: write the data at `offset`; None pads to the end.

    `overwrite`: what lies behind the data stays. Otherwise, as an append wants it, the data is the replica's end.
    """

    handle: int
    version: int
    serial: int
    offset: int
    data_id: str | None
    overwrite: bool = False

    def args(self) -> dict[str, Any]:
        """As the RPC `apply` takes them."""
        return {
            "handle": self.handle,
            "version": self.version,
            "serial": self.serial,
            "offset": self.offset,
            "data_id": self.data_id,
            "overwrite": self.overwrite,
        }

    def apply_to(self, replica: Replica, data: Buffer, chunk_size: int) -> None:
        """Write or pad, durably. The caller holds `replica.changed`."""
        if self.data_id is None:
            replica.pad(self.offset, chunk_size)
        elif self.overwrite:
            replica.overwrite(self.offset, data)
        else:
            replica.write(self.offset, data)


class Order:
    """The order of mutations of one chunk at one version.

    `turns` is what a secondary needs. `issued` is the last serial number this server gave as a primary, and
    `sealed` whether it knows that all replicas reach the end of the chunk.
    """

    def __init__(self, version: int, patience: float) -> None:
        self.version = version
        self.turns = Turns(patience)
        self.issued = 0
        self.sealed = False


class Orders:
    """Handle -> Order of the replica's present version. Callers hold `replica.changed`."""

    def __init__(self, limits: Limits) -> None:
        self._patience = limits.reorder_wait
        self._orders: dict[int, Order] = {}

    def of(self, replica: Replica) -> Order:
        """The order at the replica's version; a new one when the version has changed."""
        order = self._orders.get(replica.handle)
        if order is None or order.version != replica.version:
            order = self._orders[replica.handle] = Order(replica.version, self._patience)
        return order


class Secondary:
    """The secondary's side of a mutation."""

    def __init__(self, ctx: Context, store: Store, orders: Orders, buffer: DataBuffer) -> None:
        self._ctx = ctx
        self._store = store
        self._orders = orders
        self._buffer = buffer

    def apply(
        self, handle: int, version: int, serial: int, offset: int, data_id: str | None, overwrite: bool
    ) -> dict[str, Any]:
        """Do one mutation when its turn has come: RPC `apply`. Durable when it returns.

        StaleVersion unless the replica is at `version`, both on arrival and when the turn comes. OutOfOrder
        when the turn has passed. UnknownData when the data is not here; Corrupt when the replica is damaged.
        A mutation that fails has had its turn all the same.
        """
        raise NotImplementedError(
            "lab 3 part C: fetch the data first; wait for the turn under replica.changed; perform; "
            "always say done."
        )

    def perform(self, mutation: Mutation, replica: Replica, data: Buffer) -> None:
        """What `apply` does when the turn has come, under `replica.changed`. Lab 4 part E overrides this."""
        mutation.apply_to(replica, data, self._ctx.limits.chunk_size)


def require_version(replica: Replica, version: int) -> None:
    """StaleVersion unless the replica is usable and at `version`. The caller holds `replica.changed`."""
    raise NotImplementedError("lab 3 part C: replica.check(), then compare.")

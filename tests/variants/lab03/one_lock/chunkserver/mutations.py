"""Mutations; and how a secondary lets them pass, in the order of their numbers."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from chunkserver.buffer import DataBuffer
from chunkserver.replica import Replica
from chunkserver.store import Store

from labkit import Context, Limits
from labkit.disk import Buffer
from labkit.errors import BadArguments, OutOfOrder, StaleVersion, UnknownData


@dataclass(frozen=True)
class Mutation:
    handle: int
    version: int
    serial: int
    offset: int
    data_id: str | None
    overwrite: bool = False

    def args(self) -> dict[str, Any]:
        return asdict(self)

    def apply_to(self, replica: Replica, data: Buffer, chunk_size: int) -> None:
        if self.data_id is None:
            replica.pad(self.offset, chunk_size)
        else:
            (replica.overwrite if self.overwrite else replica.write)(self.offset, data)


@dataclass
class Order:
    """Of one version: numbers given here as primary, done here as secondary, and waiting here (since when)."""

    version: int
    issued: int = 0
    sealed: bool = False
    done: int = 0
    waiting: dict[int, float] = field(default_factory=dict[int, float])


class Orders:
    def __init__(self, limits: Limits) -> None:
        self.patience = limits.reorder_wait
        self._orders: dict[int, Order] = {}

    def of(self, replica: Replica) -> Order:
        order = self._orders.get(replica.handle)
        if order is None or order.version != replica.version:
            order = Order(replica.version)
            self._orders[replica.handle] = order
        return order


class Secondary:
    def __init__(self, ctx: Context, store: Store, orders: Orders, buffer: DataBuffer) -> None:
        self._ctx, self._store, self._orders, self._buffer = ctx, store, orders, buffer

    def apply(
        self, handle: int, version: int, serial: int, offset: int, data_id: str | None, overwrite: bool
    ) -> dict[str, Any]:
        replica = self._store.get(handle)
        data = b"" if data_id is None else self._buffer.get(data_id)
        size = len(data) if data is not None else 0
        if not 0 <= offset <= self._ctx.limits.chunk_size - size:
            raise BadArguments("that is not inside of a chunk")
        clock = self._ctx.clock
        with replica.changed:
            require_version(replica, version)
            order = self._orders.of(replica)
            if serial <= order.done or serial in order.waiting:
                raise OutOfOrder(f"{order.done} is done, {sorted(order.waiting)} wait")
            order.waiting[serial] = clock.now()
            try:
                while order.done + 1 != serial:
                    oldest = min(order.waiting.values())
                    left = oldest + self._orders.patience - clock.now()
                    if left <= 0 and serial == min(order.waiting):
                        break
                    clock.wait(replica.changed, left if left > 0 else None)
                    require_version(replica, version)
                if data is None:
                    raise UnknownData("nobody brought it here")
                self.perform(Mutation(handle, version, serial, offset, data_id, overwrite), replica, data)
            finally:
                del order.waiting[serial]
                order.done = max(order.done, serial)
                replica.changed.notify_all()
        return {}

    def perform(self, mutation: Mutation, replica: Replica, data: Buffer) -> None:
        mutation.apply_to(replica, data, self._ctx.limits.chunk_size)


def require_version(replica: Replica, version: int) -> None:
    replica.check()
    if replica.version != version:
        raise StaleVersion(f"here it is {replica.version}")

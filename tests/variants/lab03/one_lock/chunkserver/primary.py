"""The primary: one mutation of a chunk at a time, from its place in the order to the answer of the last secondary."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from chunkserver.buffer import DataBuffer
from chunkserver.leases import Lease, Leases
from chunkserver.mutations import Mutation, Orders, require_version
from chunkserver.replica import Replica
from chunkserver.store import Store
from rpc import RetryPolicy

from labkit import Context
from labkit.disk import Buffer
from labkit.errors import (
    BadArguments,
    ChunkFull,
    LabError,
    NotPrimary,
    ReplicaFailed,
    TooLarge,
    UnknownData,
)

SHORT = RetryPolicy(first_timeout=0.5, factor=1.0, longest=0.5, attempts=8, jitter=0.5)


class Primary:
    def __init__(
        self, ctx: Context, store: Store, orders: Orders, leases: Leases, buffer: DataBuffer, client: Any
    ) -> None:
        self._ctx, self._store, self._orders = ctx, store, orders
        self._leases, self._buffer, self._client = leases, buffer, client
        self._lock = threading.Lock()
        self._turns: dict[int, threading.Lock] = {}

    def handlers(self) -> dict[str, Callable[..., Any]]:
        return {"append": self.append, "write": self.write}

    def append(self, handle: int, version: int, data_id: str) -> dict[str, Any]:
        size = self._ctx.limits.chunk_size

        def place(replica: Replica, data: Buffer) -> tuple[int, bool]:
            if len(data) > self._ctx.limits.record_limit:
                raise TooLarge("a record is a quarter of a chunk at most")
            fits = replica.length + len(data) <= size
            if not fits and self._orders.of(replica).sealed:
                raise ChunkFull("no room")
            return replica.length, fits

        return self._mutate(handle, version, data_id, place, overwrite=False)

    def write(self, handle: int, version: int, offset: int, data_id: str) -> dict[str, Any]:
        def place(_replica: Replica, data: Buffer) -> tuple[int, bool]:
            if not 0 <= offset <= self._ctx.limits.chunk_size - len(data):
                raise BadArguments("not inside of the chunk")
            return offset, True

        self._mutate(handle, version, data_id, place, overwrite=True)
        return {}

    def _mutate(
        self,
        handle: int,
        version: int,
        data_id: str,
        place: Callable[[Replica, Buffer], tuple[int, bool]],
        *,
        overwrite: bool,
    ) -> dict[str, Any]:
        replica = self._store.get(handle)
        with self._lock:
            turn = self._turns.setdefault(handle, threading.Lock())
        with turn:
            with replica.changed:
                lease = self._lease(replica, version)
                data = self._buffer.get(data_id)
                if data is None:
                    raise UnknownData("what data?")
                offset, fits = place(replica, data)
                order = self._orders.of(replica)
                mutation = Mutation(
                    handle, version, order.issued + 1, offset, data_id if fits else None, overwrite
                )
                try:
                    mutation.apply_to(replica, data, self._ctx.limits.chunk_size)
                except OSError as error:
                    raise ReplicaFailed("not even here") from error
                order.issued += 1
            self._tell(mutation, lease)
            if not fits:
                order.sealed = True
                raise ChunkFull("padded to the end, everywhere")
            return {"offset": offset}

    def _lease(self, replica: Replica, version: int) -> Lease:
        lease = self._leases.current(replica.handle, self._ctx.clock.now())
        if lease is None:
            raise NotPrimary("not now")
        require_version(replica, version)
        require_version(replica, lease.version)
        return lease

    def _tell(self, mutation: Mutation, lease: Lease) -> None:
        failures: list[str] = []

        def tell(name: str) -> None:
            try:
                self._client.call(name, "apply", mutation.args(), policy=SHORT)
            except LabError as error:
                failures.append(f"{name}: {error}")

        threads = [threading.Thread(target=tell, args=[name]) for name in lease.secondaries]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise ReplicaFailed("; ".join(failures))

"""The chunkserver as a whole."""

from __future__ import annotations

from typing import Any

from chunkserver.buffer import DataBuffer
from chunkserver.cloning import Cloning
from chunkserver.dataflow import DataFlow
from chunkserver.heartbeat import Heartbeats
from chunkserver.leases import Leases
from chunkserver.mutations import Orders, Secondary
from chunkserver.primary import Primary
from chunkserver.store import Store
from chunkserver.versions import Versions
from rpc import Client, Reply, Server

from labkit import Context
from labkit.errors import BadArguments, TooLarge
from labkit.protocol import MAX_PAYLOAD


class Chunkserver:
    """One chunkserver. `ctx.config`: "master", the master's name, and perhaps "rack".

    `primary` and `secondary` are the two sides of a mutation; the stricter models of lab 4 put in their own.
    """

    def __init__(
        self, ctx: Context, primary: type[Primary] = Primary, secondary: type[Secondary] = Secondary
    ) -> None:
        limits = ctx.limits
        self.store = Store(ctx.disk, limits.block_size)
        self.leases = Leases()
        self.buffer = DataBuffer(limits.buffer_bytes, limits.record_limit)
        self._client = Client(ctx)
        orders = Orders(limits)
        versions = Versions(ctx, self.store, self.leases)
        cloning = Cloning(ctx, self._client, self.store)
        first = primary(ctx, self.store, orders, self.leases, self.buffer, self._client)
        self.heartbeats = Heartbeats(ctx, self._client, self.store, self.leases)
        self._server = Server(
            ctx,
            {
                "create_chunk": versions.create_chunk,
                "advance_version": versions.advance_version,
                "grant_lease": versions.grant_lease,
                "revoke_lease": versions.revoke_lease,
                "push": DataFlow(self._client, self.buffer).push,
                **first.handlers(),
                "apply": secondary(ctx, self.store, orders, self.buffer).apply,
                "read": self.read,
                "checksums": cloning.checksums,
                "clone_chunk": cloning.clone_chunk,
                "copy_chunk": cloning.copy_chunk,
                "inventory": self.inventory,
            },
        )

    def start(self) -> None:
        self.store.recover()
        self._server.start()
        self.heartbeats.start()

    def stop(self) -> None:
        # The client first: it ends the calls that handlers and heartbeats are waiting for.
        self._client.close()
        self.heartbeats.stop()
        self._server.stop()

    def read(self, handle: int, offset: int, length: int) -> Reply:
        """Verified bytes of a replica: RPC `read`. {"version", "length" of the replica}, and the bytes."""
        # lab 3 part A: bound the length by MAX_PAYLOAD; Replica.read does the rest.
        if offset < 0 or length < 0:
            raise BadArguments("offset and length are not negative")
        if length > MAX_PAYLOAD:
            raise TooLarge(f"{length} bytes; a reply carries at most {MAX_PAYLOAD}")
        version, replica_length, data = self.store.get(handle).read(offset, length)
        return Reply({"version": version, "length": replica_length}, data)

    def inventory(self) -> dict[str, Any]:
        """What is stored intact: RPC `inventory`."""
        # lab 3 part A: [handle, version, length] of each intact replica.
        return {
            "chunks": [[replica.handle, replica.version, replica.length] for replica in self.store.intact()]
        }


def start(
    ctx: Context, primary: type[Primary] = Primary, secondary: type[Secondary] = Secondary
) -> Chunkserver:
    """A chunkserver that has recovered what is on its disk and answers calls; it finds its master by itself."""
    chunkserver = Chunkserver(ctx, primary, secondary)
    chunkserver.start()
    return chunkserver

"""The chunkserver as a whole: what is wired to what, and the handlers that only look.

Recovered from disk first, then reachable, then known to the master: nobody can ask before there are
answers. A master that is away does not keep a chunkserver from starting or serving.
"""

from __future__ import annotations

from typing import Any

from rpc import Client, Reply, Server

from chunkserver.buffer import DataBuffer
from chunkserver.cloning import Cloning
from chunkserver.dataflow import DataFlow
from chunkserver.forwarding import Forwarder
from chunkserver.heartbeat import Heartbeats
from chunkserver.leases import Leases
from chunkserver.mutations import Orders, Secondary
from chunkserver.open_files import OpenFiles
from chunkserver.primary import Primary
from chunkserver.store import Store
from chunkserver.versions import Versions
from labkit import Context


class Chunkserver:
    """One chunkserver. `ctx.config`: "master", the master's name, and perhaps "rack".

    `primary` and `secondary` are the two sides of a mutation; the stricter models of lab 4 put in their own.
    """

    def __init__(
        self, ctx: Context, primary: type[Primary] = Primary, secondary: type[Secondary] = Secondary
    ) -> None:
        limits = ctx.limits
        self.store = Store(OpenFiles(ctx.disk), limits.block_size)
        self.leases = Leases()
        self.buffer = DataBuffer(limits.buffer_bytes, limits.record_limit)
        self._client = Client(ctx)
        orders = Orders(limits)
        self._forwarder = Forwarder(self._client)
        versions = Versions(ctx, self.store, self.leases)
        cloning = Cloning(ctx, self._client, self.store)
        first = primary(ctx, self.store, orders, self.leases, self.buffer, self._forwarder)
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
        self._forwarder.close()

    def read(self, handle: int, offset: int, length: int) -> Reply:
        """Verified bytes of a replica: RPC `read`. {"version", "length" of the replica}, and the bytes."""
        raise NotImplementedError(
            "lab 3 part A: bound the length by MAX_PAYLOAD; Replica.read does the rest."
        )

    def inventory(self) -> dict[str, Any]:
        """What is stored intact: RPC `inventory`."""
        raise NotImplementedError("lab 3 part A: [handle, version, length] of each intact replica.")


def start(
    ctx: Context, primary: type[Primary] = Primary, secondary: type[Secondary] = Secondary
) -> Chunkserver:
    """A chunkserver that has recovered what is on its disk and answers calls; it finds its master by itself."""
    chunkserver = Chunkserver(ctx, primary, secondary)
    chunkserver.start()
    return chunkserver

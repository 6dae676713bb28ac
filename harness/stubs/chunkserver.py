"""A chunkserver for tests of the master: it stores versions, not data, and does what the protocol says.

Time passes only when the test lets it; heartbeats go out only when the test sends them. `leases` are those it was
granted, by handle: (version, until on its own clock, secondaries). `damaged` are replicas that it stores and does not
believe.
"""

from __future__ import annotations

from typing import Any

from harness.cluster import Cluster
from harness.stubs.peer import ScriptedPeer
from labkit.errors import NoSuchChunk, StaleVersion

MASTER = "master"


class StubChunkserver(ScriptedPeer):
    def __init__(self, cluster: Cluster, name: str, rack: str = "r1") -> None:
        self.chunks: dict[int, int] = {}
        self.leases: dict[int, tuple[int, float, tuple[str, ...]]] = {}
        self.damaged: set[int] = set()
        self.used = 0
        self._rack = rack
        super().__init__(
            cluster,
            name,
            {
                "create_chunk": self.create_chunk,
                "advance_version": self.advance_version,
                "grant_lease": self.grant_lease,
                "revoke_lease": self.revoke_lease,
                "clone_chunk": self.clone_chunk,
                "copy_chunk": self.copy_chunk,
            },
        )

    # ---- what it tells the master

    def now(self) -> float:
        return self._cluster.now()

    def register(self, *, started: bool = True) -> dict[str, Any]:
        """As after a start, when it holds no leases; or because it was told to, with those it has."""
        if started:
            self.leases.clear()
        args = {
            "name": self.name,
            "sent": self.now(),
            "chunks": self._stored(),
            "used": self.used,
            "rack": self._rack,
        }
        return self._obey(self.ask(MASTER, "register", args))

    def heartbeat(self, *, keep: bool = True) -> dict[str, Any]:
        """`keep`: ask to keep the leases it holds."""
        return self.send(self.written(keep=keep))

    def written(self, *, keep: bool = True) -> dict[str, Any]:
        """A heartbeat that tells of this moment, to be sent now or later."""
        held = [[handle, lease[0]] for handle, lease in self.leases.items()] if keep else []
        return {
            "name": self.name,
            "sent": self.now(),
            "chunks": self._stored(),
            "damaged": sorted(self.damaged),
            "leases": held,
            "used": self.used,
        }

    def send(self, written: dict[str, Any]) -> dict[str, Any]:
        """Send a heartbeat, and do what the answer says."""
        reply = self._obey(self.ask(MASTER, "heartbeat", written))
        if reply.get("register"):
            self.register(started=False)
        return reply

    def _stored(self) -> list[list[int]]:
        return [[handle, version] for handle, version in sorted(self.chunks.items())]

    def _obey(self, reply: dict[str, Any]) -> dict[str, Any]:
        for handle in reply.get("delete", []):
            self.chunks.pop(handle, None)
            self.damaged.discard(handle)
        return reply

    # ---- what the master tells it

    def create_chunk(self, handle: int, version: int) -> dict[str, Any]:
        self.chunks[handle] = version
        return {}

    def advance_version(self, handle: int, previous: int, version: int) -> dict[str, Any]:
        mine = self.chunks.get(handle)
        if mine is None:
            raise NoSuchChunk(str(handle))
        if not previous <= mine <= version:
            raise StaleVersion(f"at {mine}, asked to go from {previous} to {version}")
        self.chunks[handle] = version
        return {}

    def grant_lease(self, handle: int, version: int, until: float, secondaries: list[str]) -> dict[str, Any]:
        if self.chunks.get(handle) != version:
            raise StaleVersion(f"at {self.chunks.get(handle)}, granted {version}")
        self.leases[handle] = (version, until, tuple(secondaries))
        return {}

    def revoke_lease(self, handle: int, version: int) -> dict[str, Any]:
        if handle not in self.chunks:
            raise NoSuchChunk(str(handle))
        self.leases.pop(handle, None)
        return {}

    def clone_chunk(self, handle: int, version: int, source: str, final: bool) -> dict[str, Any]:
        """It takes the source's word for it: a test sees to it that there is something to copy."""
        if final:
            self.chunks[handle] = version
            self.damaged.discard(handle)
        return {}

    def copy_chunk(self, handle: int, version: int, copy: int) -> dict[str, Any]:
        if handle not in self.chunks:
            raise NoSuchChunk(str(handle))
        if self.chunks[handle] != version:
            raise StaleVersion(f"at {self.chunks[handle]}, asked to copy {version}")
        self.chunks[copy] = 1
        return {}

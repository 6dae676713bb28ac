"""What is around the master in the tests of lab 2's reference: a disk whose power fails, and chunkservers that keep the
rules of the protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit import Limits, errors
from labkit.clock import SystemClock

if TYPE_CHECKING:
    from tests.master_model.world import World

SOLUTIONS = Path(__file__).resolve().parents[2] / "solutions"


LIMITS = Limits()


NAMES = ("cs1", "cs2", "cs3", "cs4")


FILE = "/f"


EVENTS = ("crash", "lease", "write", "delete", "no", "jump", "checkpoint", "regroup", "snapshot", "copy")


class Crash(BaseException):
    """The master's power fails."""


class ManualClock(SystemClock):
    """`time` is the world's; the master's clock has `jumped` ahead of it."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.jumped = 0.0

    def now(self) -> float:
        return self.time + self.jumped


class PowerDisk:
    """Files in memory. Before and after every change of them the power may fail."""

    def __init__(self, may_crash: Callable[[], None]) -> None:
        self.files: dict[str, PowerFile] = {}
        self.may_crash = may_crash
        self.dead = False

    def power(self) -> None:
        """Once the power has failed nothing works any more."""
        if not self.dead:
            self.dead = True
            self.may_crash()
            self.dead = False
            return
        raise Crash

    def crash(self, survives: Callable[[int], int]) -> None:
        """Of what was not synced, `survives(bytes)` bytes are there."""
        for file in self.files.values():
            file.crash(survives)
        self.dead = False

    def open(self, name: str, *, create: bool = False) -> PowerFile:
        if name not in self.files:
            assert create
            self.power()
            self.files[name] = PowerFile(self)
            self.power()
        return self.files[name]

    def exists(self, name: str) -> bool:
        return name in self.files

    def list(self) -> list[str]:
        return sorted(self.files)

    def remove(self, name: str) -> None:
        self.power()
        del self.files[name]
        self.power()

    def replace(self, source: str, target: str) -> None:
        self.power()
        self.files[target] = self.files.pop(source)
        self.power()


class PowerFile:
    def __init__(self, disk: PowerDisk) -> None:
        self.disk = disk
        self.durable = b""
        self.seen = bytearray()
        self.unsynced: list[tuple[int, bytes]] = []  # (offset, data), in order

    def crash(self, survives: Callable[[int], int]) -> None:
        left = survives(sum(len(data) for _, data in self.unsynced))
        self.seen = bytearray(self.durable)
        for offset, data in self.unsynced:
            kept = data[:left]
            self.seen[offset : offset + len(kept)] = kept
            left -= len(kept)
        self._all_durable()

    def close(self) -> None:
        pass

    def size(self) -> int:
        return len(self.seen)

    def pread(self, offset: int, length: int) -> bytes:
        return bytes(self.seen[offset : offset + length])

    def pwrite(self, offset: int, data: bytes) -> None:
        self.disk.power()
        self.seen[offset : offset + len(data)] = data
        self.unsynced.append((offset, bytes(data)))
        self.disk.power()

    def truncate(self, size: int) -> None:
        del self.seen[size:]
        self.durable = self.durable[:size]

    def sync(self) -> None:
        self.disk.power()
        self._all_durable()
        self.disk.power()

    def _all_durable(self) -> None:
        self.durable = bytes(self.seen)
        self.unsynced.clear()


@dataclass
class Replica:
    version: int
    data: set[int] = field(default_factory=set)
    until: float = float("-inf")  # of the lease, on the server's clock
    secondaries: tuple[str, ...] = ()
    revoked: int = 0


class ModelServer:
    """A chunkserver that keeps the protocol's rules. Its clock is the world's plus a skew."""

    def __init__(self, world: World, name: str, skew: float) -> None:
        self.world, self.name, self.skew = world, name, skew
        self.up = True
        self.messages = 0
        self.cut = False  # off from the master, not from the other servers
        self.replicas: dict[int, Replica] = {}

    def now(self) -> float:
        return self.world.clock.time + self.skew

    def restart(self) -> None:
        self.up = False
        for replica in self.replicas.values():
            replica.until, replica.revoked = float("-inf"), 0

    def is_primary(self, handle: int) -> bool:
        replica = self.replicas.get(handle)
        return self.up and replica is not None and self.now() < replica.until

    def report(self) -> dict[str, Any]:
        self.messages += 1
        return {
            "name": self.name,
            "sent": self.now() - 0.1 + self.messages * 1e-6,  # no two at the same moment
            "chunks": {handle: replica.version for handle, replica in self.replicas.items()},
            "damaged": [],
            "leases": [(h, replica.version) for h, replica in self.replicas.items() if self.is_primary(h)],
            "used": 0,
        }

    def renewed(self, handle: int, until: float) -> None:
        if self.is_primary(handle):
            self.replicas[handle].until = max(self.replicas[handle].until, until)

    # ---- the master's calls; each may come late, or twice

    def create_chunk(self, handle: int, version: int) -> None:
        if self.replicas.setdefault(handle, Replica(version)).version != version:
            raise errors.StaleVersion

    def advance_version(self, handle: int, previous: int, version: int) -> None:
        replica = self._replica(handle)
        if not previous <= replica.version <= version:
            raise errors.StaleVersion
        if replica.version < version:
            replica.version, replica.until = version, float("-inf")

    def grant_lease(self, handle: int, version: int, until: float, secondaries: Collection[str]) -> None:
        replica = self._replica(handle)
        if replica.version != version or replica.revoked >= version:
            raise errors.StaleVersion
        replica.until, replica.secondaries = until, tuple(secondaries)

    def revoke_lease(self, handle: int, version: int) -> None:
        replica = self._replica(handle)
        replica.revoked = max(replica.revoked, version)
        if replica.version == version:
            replica.until = float("-inf")

    def clone_chunk(self, handle: int, version: int, source: str) -> None:
        mine = self.replicas.get(handle)
        if mine is not None and mine.version >= version:
            if mine.version > version:
                raise errors.StaleVersion
            return
        original = self.world.servers[source].replicas.get(handle)
        if not self.world.servers[source].up or original is None or original.version != version:
            raise errors.StaleVersion
        self.replicas[handle] = Replica(version, set(original.data))

    def copy_chunk(self, handle: int, version: int, copy: int) -> None:
        replica = self._replica(handle)
        if replica.version != version:
            raise errors.StaleVersion
        self.replicas.setdefault(copy, Replica(1, set(replica.data)))

    def _replica(self, handle: int) -> Replica:
        if handle not in self.replicas:
            raise errors.NoSuchChunk
        return self.replicas[handle]


class ModelCalls:
    """In place of gfs_master.chunkservers.Chunkservers: calls arrive, get lost, come late; so do answers."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._answer = world.lab.chunkservers.Answer

    def create_chunk(self, servers: Collection[str], handle: int, version: int) -> Any:
        return self._all(servers, "create_chunk", handle, version)

    def advance_version(self, servers: Collection[str], handle: int, previous: int, version: int) -> Any:
        self._world.check_round(handle, version)
        return self._all(servers, "advance_version", handle, previous, version)

    def grant_lease(self, server: str, handle: int, version: int, until: float, others: Any) -> Any:
        self._world.check_grant(handle, version)
        return self._one(server, "grant_lease", handle, version, until, others)

    def revoke_lease(self, server: str, handle: int, version: int) -> Any:
        return self._one(server, "revoke_lease", handle, version)

    def clone_chunk(self, server: str, handle: int, version: int, source: str, *, final: bool) -> Any:
        assert final, "a round clones what is left"
        return self._one(server, "clone_chunk", handle, version, source)

    def copy_chunk(self, versions: dict[str, int], handle: int, copy: int) -> Any:
        answers = {
            server: self._one(server, "copy_chunk", handle, version, copy)
            for server, version in sorted(versions.items())
        }
        return self._world.lab.chunkservers.Answers(answers)

    def _all(self, servers: Collection[str], method: str, *args: Any) -> Any:
        answers = {server: self._one(server, method, *args) for server in sorted(servers)}
        return self._world.lab.chunkservers.Answers(answers)

    def _one(self, name: str, method: str, *args: Any) -> Any:
        world, server = self._world, self._world.servers[name]
        world.meanwhile()
        if not server.up or server.cut:
            return self._answer.REFUSED
        fate = world.fate()
        if fate == "request lost":
            return self._answer.UNKNOWN
        if fate == "request late":
            world.late.append((server, lambda: getattr(server, method)(*args)))
            return self._answer.UNKNOWN
        try:
            getattr(server, method)(*args)
        except errors.NoSuchChunk:
            answer = self._answer.NO_REPLICA
        except errors.StaleVersion:
            answer = self._answer.REFUSED
        else:
            answer = self._answer.CONFIRMED
        world.meanwhile()
        return self._answer.UNKNOWN if fate == "answer lost" else answer

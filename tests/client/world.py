"""A tiny GFS in one object, reached by plain function calls, and helpers for tests of the client.

The clock only moves when somebody sleeps, so that minutes of patience cost nothing.
"""

from __future__ import annotations

import sys
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

from labkit import Limits, errors
from labkit.clock import SystemClock
from labkit.protocol import CATALOGUE

CHUNK = 1024
LIMITS = Limits(chunk_size=CHUNK, block_size=64)
Fault = Callable[[], None]


class World:
    """Master, chunkservers and the network between, as one plain object. Versions start at 1.

    `script(server, method, fault)` makes the next such call end with `fault`: an exception to raise in
    place of the answer, before the call has any effect or (`after=True`) when it has had all of it; or a
    function to run first.
    """

    def __init__(self) -> None:
        self.servers = ["cs1", "cs2", "cs3"]
        self.files: dict[str, list[int]] = {}
        self.version: dict[int, int] = {}
        self.where: dict[int, list[str]] = {}
        self.data: dict[tuple[str, int], bytearray] = {}
        self.held: dict[tuple[str, int], int] = {}  # the version each replica has
        self.pushed: dict[tuple[str, str], bytes] = {}
        self.shared: set[int] = set()  # chunks that a snapshot has too
        self.calls: list[tuple[str, str]] = []
        self._scripts: dict[tuple[str, str], deque[tuple[Exception | Fault, bool]]] = {}
        self._always: dict[tuple[str, str], Exception] = {}

    def script(self, server: str, method: str, *faults: Exception | Fault, after: bool = False) -> None:
        self._scripts.setdefault((server, method), deque()).extend((fault, after) for fault in faults)

    def always(self, server: str, method: str, fault: Exception) -> None:
        self._always[server, method] = fault

    def handle(self, server: str, method: str, args: dict[str, Any]) -> tuple[Any, bytes]:
        self.calls.append((server, method))
        fault, after = self._fault(server, method)
        if fault is not None and not after:
            raise fault
        who = self.master if server == "master" else self.chunkserver
        answer = who(server, method, args)
        if fault is not None:
            raise fault
        return answer

    def _fault(self, server: str, method: str) -> tuple[Exception | None, bool]:
        waiting = self._scripts.get((server, method))
        fault, after = waiting.popleft() if waiting else (self._always.get((server, method)), False)
        if callable(fault):
            fault()
            return None, after
        return fault, after

    def master(self, _: str, method: str, args: dict[str, Any]) -> tuple[Any, bytes]:
        if method == "create":
            if args["path"] in self.files:
                raise errors.FileExists(args["path"])
            self.files[args["path"]] = []
            return None, b""
        if method == "lease":
            handle = args["handle"]
            if handle in self.shared:
                raise errors.SharedChunk(str(handle))
            first, *others = self.where[handle]
            return {"primary": first, "secondaries": others, "version": self.version[handle]}, b""
        if args["path"] not in self.files:
            raise errors.NoSuchFile(args["path"])
        handles = self.files[args["path"]]
        if method == "stat":
            return {"chunks": len(handles)}, b""
        if method == "allocate" and args["index"] == len(handles):
            self.new_chunk(args["path"])
        if args["index"] >= len(handles):
            raise errors.NoSuchChunk(str(args["index"]))
        if method == "allocate" and handles[args["index"]] in self.shared:
            self.copy_chunk(args["path"], args["index"])
        handle = handles[args["index"]]
        return {"handle": handle, "version": self.version[handle], "replicas": self.where[handle]}, b""

    def new_chunk(self, path: str) -> int:
        handle = 10 + len(self.version)
        self.files[path].append(handle)
        self.version[handle], self.where[handle] = 1, list(self.servers)
        for server in self.servers:
            self.data[server, handle], self.held[server, handle] = bytearray(), 1
        return handle

    def copy_chunk(self, path: str, index: int) -> None:
        """The file gets a chunk of its own in place of one that a snapshot has too."""
        old, new = self.files[path][index], self.new_chunk(path)
        self.files[path][index] = self.files[path].pop()
        for server in self.servers:
            self.data[server, new][:] = self.data[server, old]

    def chunkserver(self, server: str, method: str, args: dict[str, Any]) -> tuple[Any, bytes]:
        if method == "push":
            for replica in (server, *args["chain"]):
                assert (args["offset"], args["total"]) == (0, len(args["payload"])), "small data is one piece"
                self.pushed[replica, args["data_id"]] = bytes(args["payload"])
            return None, b""
        handle = args["handle"]
        if (server, handle) not in self.data:
            raise errors.NoSuchChunk(str(handle))
        data = self.data[server, handle]
        if method == "read":
            assert 0 <= args["length"] <= 1024 * 1024
            sent = bytes(data[args["offset"] : args["offset"] + args["length"]])
            return {"version": self.held[server, handle], "length": len(data)}, sent
        return {"offset": self.append(server, handle, args["version"], args["data_id"])}, b""

    def append(self, server: str, handle: int, version: int, data_id: str) -> int:
        primary, *_ = replicas = self.where[handle]
        if server != primary:
            raise errors.NotPrimary(server)
        if version != self.version[handle]:
            raise errors.StaleVersion(str(version))
        offset = len(self.data[primary, handle])
        if any((replica, data_id) not in self.pushed for replica in replicas):
            raise errors.UnknownData(data_id)
        pushed = [self.pushed.pop((replica, data_id)) for replica in replicas]
        if offset + len(pushed[0]) > CHUNK:
            for replica in replicas:
                self.write(replica, handle, offset, bytes(CHUNK - offset))
            raise errors.ChunkFull
        for replica, data in zip(replicas, pushed, strict=True):
            self.write(replica, handle, offset, data)
        return offset

    def write(self, replica: str, handle: int, offset: int, data: bytes) -> None:
        replica_data = self.data[replica, handle]
        replica_data.extend(bytes(max(0, offset - len(replica_data))))
        replica_data[offset : offset + len(data)] = data

    def change_lease(self, handle: int, primary: str, *secondaries: str) -> None:
        """The master grants a new lease, to these replicas; any other becomes stale."""
        self.version[handle] += 1
        self.where[handle] = [primary, *secondaries]
        for replica in self.where[handle]:
            self.held[replica, handle] = self.version[handle]

    def count(self, method: str, server: str | None = None) -> int:
        return Counter(called for at, called in self.calls if server in (None, at))[method]


class StillClock(SystemClock):
    """Time that passes only when somebody sleeps, or `advance`s it."""

    def __init__(self) -> None:
        self.time = 5000.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds

    advance = sleep


class DirectRpc:
    """Stands in for rpc.Client: the call is a function call, and a call that times out costs its policy."""

    def __init__(self, world: World, clock: StillClock) -> None:
        self._world, self._clock = world, clock

    def call(
        self,
        server: str,
        method: str,
        args: dict[str, Any],
        payload: bytes = b"",
        *,
        at_most_once: bool = True,
        policy: Any,
    ) -> Any:
        assert set(args) == set(CATALOGUE[method].args)
        assert at_most_once == CATALOGUE[method].at_most_once
        rpc = sys.modules["rpc"]
        try:
            args = {**args, "payload": payload} if method == "push" else args
            return rpc.Reply(*self._world.handle(server, method, args))
        except errors.CallTimeout:
            for n in range(policy.attempts):
                self._clock.advance(min(policy.longest, policy.first_timeout * policy.factor**n))
            raise


def bodies(found: list[Any]) -> list[bytes]:
    return [record.body for record in found]


def frame(lab: Any, body: bytes, client: int = 7, sequence: int = 1) -> bytes:
    records = lab("records")
    return records.encode(records.Record(records.RecordId(client, sequence), body))


def remote(code: str) -> errors.RemoteError:
    """The error of that code, as definite as its class says."""
    kind = errors.RemoteError.from_wire({"code": code, "message": "", "definite": False, "data": {}})
    return type(kind)() if type(kind) is not errors.RemoteError else kind

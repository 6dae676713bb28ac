"""What a GFS stores, asked over the wire past every client: nothing a student's client thinks has a say in it."""

from __future__ import annotations

from typing import Any, cast

from harness import records
from harness.cluster import Cluster
from harness.failures import LabFailure
from harness.history import Chunk, Handle, Replica
from harness.network.asker import Asker, NoAnswer
from labkit import Limits
from labkit.errors import RemoteError

MASTER = "master"
DUMP_PIECE = 1 << 20


class Truth:
    """Files of the GFS on `cluster`, past its proxy as well."""

    def __init__(self, cluster: Cluster, limits: Limits) -> None:
        self._cluster = cluster
        self._limits = limits
        self._refusals: dict[str, str] = {}  # server -> why it would not say what it stores, the last time

    def chunks(self, path: str) -> list[Chunk]:
        """The chunks of a file as the master describes them; LabFailure when it cannot."""
        with self._ask(MASTER) as master:
            try:
                count, _ = master.ask("stat", {"path": path})
                found: list[Chunk] = []
                for index in range(int(count["chunks"])):
                    where, _ = master.ask("lookup", {"path": path, "index": index})
                    found.append(_chunk(path, index, where))
            except (NoAnswer, RemoteError, KeyError, TypeError, ValueError) as error:
                raise LabFailure(
                    f"the master could not say where the chunks of {path} are: {error!r}"
                ) from error
        return found

    def replica(self, chunk: Chunk, server: str) -> Replica | None:
        """What a server stores of a chunk; None when it will not say."""
        stored = self._stored(chunk, server)
        if stored is None:
            return None
        version, data = stored
        return Replica(chunk.handle, server, version, len(data), tuple(records.segments(data)))

    def append_raw(self, path: str, data: bytes) -> None:
        """Append bytes that need not be a record, as a client without manners would. LabFailure when refused."""
        try:
            with self._ask(MASTER) as master:
                count, _ = master.ask("stat", {"path": path})
                where, _ = master.ask("lookup", {"path": path, "index": int(count["chunks"]) - 1})
                lease, _ = master.ask("lease", {"handle": where["handle"]})
            data_id = f"raw-{self._cluster.rng.getrandbits(64):x}"
            with self._ask(str(lease["primary"])) as primary:
                args = {"data_id": data_id, "offset": 0, "total": len(data), "chain": lease["secondaries"]}
                primary.ask("push", args, data)
                args = {"handle": where["handle"], "version": lease["version"], "data_id": data_id}
                primary.ask("append", args)
        except (NoAnswer, RemoteError, KeyError, TypeError, ValueError) as error:
            raise LabFailure(f"bytes could not be appended to {path} by the protocol: {error!r}") from error

    def snapshot(self, source: str, target: str) -> None:
        """Have the master take a snapshot of a file or directory. LabFailure when it does not."""
        try:
            with self._ask(MASTER) as master:
                master.ask("snapshot", {"source": source, "target": target})
        except (NoAnswer, RemoteError) as error:
            raise LabFailure(
                f"the master took no snapshot of {source}: {error!r}", why="lab 2 part F is about snapshots"
            ) from error

    def contents(self, path: str) -> bytes:
        """The bytes of a file, read past the client: every chunk from its first replica, filled up with zeros."""
        data = bytearray()
        for chunk in self.chunks(path):
            piece = self._stored(chunk, chunk.replicas[0]) if chunk.replicas else None
            if piece is None:
                asked = chunk.replicas[0] if chunk.replicas else ""
                raise LabFailure(
                    f"no replica of chunk {chunk.index} of {path} can be read",
                    seen=f"{asked}: {self._refusals[asked]}" if asked else "the master knows of none",
                )
            data += bytes(chunk.index * self._limits.chunk_size - len(data)) + piece[1]
        return bytes(data)

    def stored(self, path: str, server: str) -> bytes:
        """What a server stores of the last chunk of a file, whether the master names it or not; LabFailure when it does not say."""
        stored = self._stored(self.chunks(path)[-1], server)
        if stored is None:
            raise LabFailure(f"{server} does not say what it stores", seen=self._refusals[server])
        return stored[1]

    def _stored(self, chunk: Chunk, server: str) -> tuple[int, bytes] | None:
        """Version and bytes of a replica; None when its server will not say."""
        data = bytearray()
        try:
            with self._ask(server) as asker:
                while True:
                    args = {"handle": chunk.handle, "offset": len(data), "length": DUMP_PIECE}
                    reply, payload = asker.ask("read", args)
                    data += payload
                    if not payload or len(data) >= self._limits.chunk_size:
                        return int(reply["version"]), bytes(data)
        except (NoAnswer, RemoteError) as refusal:
            self._refusals[server] = f"read was not answered: {refusal}"
            return None

    def _ask(self, name: str) -> Asker:
        port = self._cluster.port(name)
        if port is None:
            raise NoAnswer(f"{name} is down")
        return Asker(port, name)


def _chunk(path: str, index: int, where: dict[str, Any]) -> Chunk:
    match where:
        case {"handle": int(handle), "version": int(version), "replicas": names} if isinstance(names, list):
            return Chunk(path, index, Handle(handle), version, tuple(map(str, cast(list[Any], names))))
        case _:
            raise ValueError(f"lookup answered {where!r}")

"""New chunks: from a file that ends to chunkservers that store an empty replica (GFS §2.4, §4.2).

    log ReserveHandle -> chunkservers create it -> log AddChunk -> answer

each durable before the next begins. A handle is reserved before anybody hears of it and never again, so a
crash in between leaves at most orphans, which garbage collection takes; the file has no half chunk. While
chunkservers are told, the handle is in `creating`, so that a heartbeat that lists it is not told to drop it.
"""

from __future__ import annotations

from typing import Any

from gfs_master.chunks import FIRST_VERSION
from gfs_master.chunkservers import Answer, Chunkservers
from gfs_master.metadata import Metadata
from gfs_master.operations import AddChunk, ReserveHandle
from gfs_master.placement import choose
from gfs_master.turns import Turns
from labkit import Context
from labkit.errors import NoReplica


class Creation:
    def __init__(self, context: Context, metadata: Metadata, chunkservers: Chunkservers) -> None:
        self._rng = context.rng
        self._metadata = metadata
        self._chunkservers = chunkservers
        self._turns = Turns()  # by path: two clients may ask for the same index

    def allocate(self, path: str, index: int) -> dict[str, Any]:
        """The location of the chunk at `index`, made first when the file has exactly `index` chunks.

        It is made on `limits.replicas` servers, on fewer when not more are alive or answer, at FIRST_VERSION.
        NoReplica when nobody stores it; the file is as before then. Errors of Namespace; NoSuchChunk for a
        gap or a negative index.
        """
        # lab 2 part B: hold the path's turn; reserve, create, add; creating.discard whatever happens
        with self._turns.of(path):
            with self._metadata.section() as now:
                count = len(self._metadata.state.namespace.file(path).chunks)
                if index != count:
                    return self._metadata.location(self._metadata.state.namespace.handle_at(path, index))
                handle = self._reserve(now)
            try:
                stored = self._store(handle)
                with self._metadata.section() as now:
                    for server in stored:
                        self._metadata.replicas.confirm(server, handle, FIRST_VERSION, now)
                    self._metadata.record(AddChunk(path, index, handle, tuple(sorted(stored))))
                    return self._metadata.location(handle)
            finally:
                with self._metadata.section():
                    self._metadata.creating.discard(handle)

    def _reserve(self, now: float) -> int:
        # lab 2 part B
        metadata = self._metadata
        alive = metadata.servers.names()
        if not alive:
            raise NoReplica("no chunkserver is alive")
        missing = metadata.expected - alive
        if len(alive) < metadata.limits.replicas and missing and not metadata.servers.have_had_time(now):
            raise NoReplica(f"{sorted(missing)} had no time to register since the restart")
        handle = metadata.state.next_handle
        metadata.record(ReserveHandle(handle))
        metadata.creating.add(handle)
        return handle

    def _store(self, handle: int) -> set[str]:
        """Create replicas; where a server fails, another one takes its place. The servers that confirmed.

        One that did not answer may have a replica all the same. It is empty like the others, so nothing is
        wrong with believing it when it reports one.
        """
        # lab 2 part B
        wanted = self._metadata.limits.replicas
        stored: set[str] = set()
        tried: set[str] = set()
        while len(stored) < wanted:
            with self._metadata.section() as now:
                loads = self._metadata.servers.loads(now)
                racks = [load.rack for load in loads if load.name in stored]
                left = [load for load in loads if load.name not in tried]
                chosen = choose(left, wanted - len(stored), self._rng, racks)
                for server in chosen:
                    self._metadata.servers.count_creation(server, now)
            if not chosen:
                break
            tried.update(chosen)
            stored |= self._chunkservers.create_chunk(chosen, handle, FIRST_VERSION).who(Answer.CONFIRMED)
        if not stored:
            raise NoReplica(f"no chunkserver stored chunk {handle}")
        return stored

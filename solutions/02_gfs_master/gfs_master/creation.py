"""New chunks: from a file that ends to chunkservers that store an empty replica (GFS §2.4, §4.2).

    log ReserveHandle -> chunkservers create it -> log AddChunk -> answer

each durable before the next begins. A handle is reserved before anybody hears of it and never again, so a
crash in between leaves at most orphans, which garbage collection takes; the file has no half chunk. While
chunkservers are told, the handle is in `creating`, so that a heartbeat that lists it is not told to drop it.

A chunk that was in a snapshot is not mutated any more. Whoever wants to allocates it again, and the file gets
a copy in its place (§3.4): each server that has a replica copies it on its own disk, so nothing crosses the network.

    log ReserveHandle -> chunkservers copy it -> log CopyChunk -> answer
"""

from __future__ import annotations

from typing import Any

from gfs_master.chunks import FIRST_VERSION
from gfs_master.chunkservers import Answer, Chunkservers
from gfs_master.locks import PathLocks
from gfs_master.metadata import Metadata
from gfs_master.namespace import is_hidden
from gfs_master.operations import AddChunk, CopyChunk, ReserveHandle
from gfs_master.placement import choose
from labkit import Context
from labkit.errors import InvalidPath, NoReplica


class Creation:
    def __init__(
        self, context: Context, metadata: Metadata, chunkservers: Chunkservers, locks: PathLocks
    ) -> None:
        self._rng = context.rng
        self._metadata = metadata
        self._chunkservers = chunkservers
        self._locks = locks

    def allocate(self, path: str, index: int) -> dict[str, Any]:
        """The location of the chunk at `index`, made first when the file has exactly `index` chunks, and copied
        first when it was in a snapshot.

        It is made on `limits.replicas` servers, at FIRST_VERSION. Another takes the place of one that refuses or does
        not answer: there are fewer only when no other is left to ask. NoReplica when nobody stores it; the file is as
        before then. Errors of Namespace; InvalidPath for what is hidden; NoSuchChunk for a gap or a negative index.
        """
        # lab 2 part B: hold the path's lock; reserve, create, add; creating.discard whatever happens. Part F: copy
        if is_hidden(path):
            raise InvalidPath(f"{path} was deleted")
        with self._locks.writing(path):
            with self._metadata.section() as now:
                namespace = self._metadata.state.namespace
                original = None
                if index != len(namespace.file(path).chunks):
                    original = namespace.handle_at(path, index)
                    if original not in self._metadata.state.shared:
                        return self._metadata.location(original)
                handle = self._reserve(now)
            try:
                stored = self._store(handle) if original is None else self._copy(original, handle)
                with self._metadata.section() as now:
                    # One may have died while the others were asked: the table holds only replicas of the living.
                    told = tuple(sorted(stored & self._metadata.servers.names()))
                    if not told:
                        raise NoReplica(f"all that stored chunk {handle} have died")
                    for server in told:
                        self._metadata.replicas.confirm(server, handle, FIRST_VERSION, now)
                    if original is None:
                        self._metadata.record(AddChunk(path, index, handle, told))
                    else:
                        self._metadata.record(CopyChunk(path, index, handle, told))
                    return self._metadata.location(handle)
            finally:
                with self._metadata.section():
                    self._metadata.creating.discard(handle)

    def _copy(self, original: int, handle: int) -> set[str]:
        """Copy the replicas of a chunk that is never mutated. The servers that confirmed.

        One that did not answer may have a copy all the same, and it is as good as the others.
        """
        # lab 2 part F
        with self._metadata.section():
            versions = self._metadata.up_to_date(original)
        copied = self._chunkservers.copy_chunk(versions, original, handle).who(Answer.CONFIRMED)
        if not copied:
            raise NoReplica(f"no chunkserver copied chunk {original}")
        return copied

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

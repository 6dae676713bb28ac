"""All metadata behind one lock, which is held while the log is synced: slow, and there is nothing to get wrong."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from gfs_master.chunks import Chunk, Worth, judge
from gfs_master.generations import Generations, LogBroken
from gfs_master.leases import Leases, Offered
from gfs_master.operations import Operation, to_record
from gfs_master.replicas import Replicas
from gfs_master.servers import Servers
from gfs_master.steady import SteadyTime

from labkit import Context
from labkit.errors import LabError, NoSuchChunk


class Metadata:
    def __init__(self, context: Context) -> None:
        self.limits, self.clock = context.limits, context.clock
        self._time = SteadyTime(context.clock, longest=context.limits.dead_after / 3)
        now = self._time.now()
        self._lock = threading.Lock()
        self._log = Generations(context.disk)
        self._longest = context.limits.log_limit
        try:
            self.state = self._log.recover()
        except (ValueError, LabError) as error:
            raise LogBroken(f"what is on the disk makes no sense: {error}") from error
        self.servers = Servers(context.limits, now)
        self.replicas = Replicas(settle=2 * context.limits.heartbeat)
        self.leases = Leases(context.limits.lease)
        self.creating: set[int] = set()
        self.in_snapshot: set[int] = set()
        self.expected = {name for chunk in self.state.chunks.values() for name in chunk.told}
        self.log_is_long = threading.Event()  # nobody has to be told: it is dealt with at once
        if self.state.chunks:
            self.leases.recover(self._offered, now)

    @contextmanager
    def section(self) -> Generator[float]:
        with self._lock:
            try:
                yield self._time.now()
            finally:
                self._log.sync()
                if self._log.since > self._longest:
                    self._longest = self._log.since + self.limits.log_limit
                    with suppress(OSError):
                        self._log.next(self.state)
                        self._longest = self.limits.log_limit

    def record(self, operation: Operation) -> None:
        self._log.append(to_record(operation))
        self.state.apply(operation)

    def checkpoint(self) -> None:
        with self._lock:
            self._log.next(self.state)

    def ship(self, file: str, position: int) -> tuple[str, int, bytes]:
        with self._lock:
            return self._log.read(file, position)

    def close(self) -> None:
        with self._lock:
            self._log.close()

    # ---- in a section

    def chunk(self, handle: int) -> Chunk:
        try:
            return self.state.chunks[handle]
        except KeyError:
            raise NoSuchChunk(f"{handle} is in no file") from None

    def up_to_date(self, handle: int) -> dict[str, int]:
        chunk = self.chunk(handle)
        return {
            server: version
            for server, version in self.replicas.of(handle)
            if chunk.version <= version <= chunk.attempted
        }

    def location(self, handle: int) -> dict[str, Any]:
        replicas = [*self.up_to_date(handle)]
        return {"replicas": replicas[::-1], "version": self.chunk(handle).version, "handle": handle}

    def garbage(self, server: str, chunks: Mapping[int, int], damaged: Iterable[int] = ()) -> list[int]:
        orphans = [
            handle
            for handle in {*chunks, *damaged}
            if handle not in self.state.chunks and handle not in self.creating
        ]
        stale: list[int] = []
        for handle in {*chunks, *damaged} & self.state.chunks.keys():
            chunk, reported = self.state.chunks[handle], chunks.get(handle, 0)
            newest = max(reported, self.replicas.version(server, handle) or 0)
            if judge(chunk, newest) is Worth.STALE and server not in chunk.told:
                stale.append(handle)
        return sorted(orphans + stale)

    def _offered(self, handle: int) -> Offered | None:
        chunk = self.state.chunks.get(handle)
        if chunk is None or chunk.primary is None or chunk.attempted > chunk.version:
            return None
        others = tuple(sorted(set(chunk.told) - {chunk.primary}))
        return Offered(chunk.version, chunk.primary, others)

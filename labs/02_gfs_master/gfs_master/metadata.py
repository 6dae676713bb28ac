"""All the master's metadata, behind one lock, and the rule that holds it together (GFS §2.6).

The rule: *what was read or changed in a section leaves it only when the log is durable up to there.* So no
reply, and no call to a chunkserver, can rest on something that a crash takes back; readers wait too, for a
file may have been created a moment ago by somebody who still waits for the disk. The lock itself is held
for neither disk nor network: sections are short, one at a time, and the waiting is done outside.

Durable: `state`, which changes through `record` alone. Volatile, learnt again after a restart: `servers`,
`replicas`, `leases`, `creating`.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from typing import Any

from gfs_master.chunks import Chunk, Worth, judge
from gfs_master.leases import Leases
from gfs_master.operations import Operation, to_record
from gfs_master.oplog import OpLog
from gfs_master.replicas import Replicas
from gfs_master.servers import Servers
from gfs_master.state import State
from labkit import Context
from labkit.errors import NoSuchChunk

SHIPMENT = 1024 * 1024  # bytes of the log in one answer; no record is nearly as long


class Metadata:
    """Everything but `section`, `log_from` and `close` is for use within a section."""

    def __init__(self, context: Context) -> None:
        now = context.clock.now()
        self.limits = context.limits
        self._clock = context.clock
        self._annotate = context.annotate
        self._lock = threading.Lock()
        self._log = OpLog(context.disk)
        self.state = State()
        self.servers = Servers(context.limits, now)
        self.replicas = Replicas(settle=2 * context.limits.heartbeat)
        self.leases = Leases(context.limits.lease)
        self.creating: set[int] = set()  # reserved handles that chunkservers are being told
        self.expected: set[str] = set()  # servers that had replicas before we restarted
        if not self._log.is_new:
            self.recover()

    @contextmanager
    def section(self) -> Generator[float]:
        """Hold the lock; at the end, let it go and wait for the log. Yields the time."""
        position = 0
        try:
            with self._lock:
                try:
                    yield self._clock.now()
                finally:
                    position = self._log.end
        finally:
            self._log.wait_durable(position)

    def record(self, operation: Operation) -> None:
        """Log the operation, then apply it. Whether it fits has been looked at before, in this section."""
        self._log.append(to_record(operation))
        self.state.apply(operation)

    def recover(self) -> None:
        """Build the state from the log, and remember the leases that may run from before (leases.py).

        LogBroken when a record is whole but makes no sense. A chunk whose `attempted` is above its `version`
        has no lease: raising began when none ran.
        """
        raise NotImplementedError(
            "lab 2 part D: replay in order; then, chunk by chunk, `expected`, and Leases.recover if it "
            "had a primary"
        )

    def log_from(self, position: int) -> bytes:
        """Some of the durable log from `position` on, for a shadow. No section is needed."""
        return self._log.durable(position, SHIPMENT)

    def chunk(self, handle: int) -> Chunk:
        """NoSuchChunk when no file has it."""
        found = self.state.chunks.get(handle)
        if found is None:
            raise NoSuchChunk(f"no file has chunk {handle}")
        return found

    def up_to_date(self, handle: int) -> dict[str, int]:
        """Server -> version of the replicas that may be handed out (chunks.py)."""
        chunk = self.chunk(handle)
        held = self.replicas.of(handle)
        return {name: held[name] for name in sorted(held) if judge(chunk, held[name]) is Worth.UP_TO_DATE}

    def location(self, handle: int) -> dict[str, Any]:
        """The reply of lookup and allocate."""
        return {
            "handle": handle,
            "version": self.chunk(handle).version,
            "replicas": list(self.up_to_date(handle)),
        }

    def garbage(self, server: str, chunks: Mapping[int, int], damaged: Iterable[int] = ()) -> list[int]:
        """Which of the replicas it just reported the server should drop (§4.4, §4.5): of `chunks`, handle ->
        version, and of those it found `damaged`.

        The stale ones, and the orphans: handles that belong to no file and never will, because handles are
        used once. A chunk that is being created belongs to no file yet, and is no orphan. A server that has
        confirmed a newer version has it: its report is older than its answer, and has been on its way since.
        A damaged replica is kept, for want of better, until a version is committed without it.
        """
        raise NotImplementedError("lab 2 part E: an error here loses data; when in doubt, keep it")

    def close(self) -> None:
        with self._lock:
            self._log.close()

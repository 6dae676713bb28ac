"""All the master's metadata, behind one lock, and the rule that holds it together (GFS §2.6).

The rule: *what was read or changed in a section leaves it only when the log is durable up to there.* So no
reply, and no call to a chunkserver, can rest on something that a crash takes back; readers wait too, for a
file may have been created a moment ago by somebody who still waits for the disk. The lock itself is held
for neither disk nor network: sections are short, one at a time, and the waiting is done outside. (One exception:
a checkpoint syncs once with the lock held, when it begins a new segment of the log.)

Durable: `state`, which changes through `record` alone. Volatile, learnt again after a restart: `servers`,
`replicas`, `leases`, `creating`, `in_snapshot`.
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
from gfs_master.steady import SteadyTime
from labkit import Context
from labkit.disk import File
from labkit.errors import NoSuchChunk

SHIPMENT = 1024 * 1024  # bytes of the log in one answer; no record is nearly as long


class Metadata:
    """Everything but `section`, `checkpoint`, `ship` and `close` is for use within a section."""

    def __init__(self, context: Context) -> None:
        self.limits = context.limits
        self.clock = context.clock
        self._time = SteadyTime(context.clock, longest=context.limits.dead_after / 2)
        now = self._time.now()
        self._disk = context.disk
        self._annotate = context.annotate
        self._lock = threading.Lock()
        self._log = OpLog(context.disk)
        self.state = State()
        self.servers = Servers(context.limits, now)
        self.replicas = Replicas(settle=2 * context.limits.heartbeat)
        self.leases = Leases(context.limits.lease)
        self.creating: set[int] = set()  # reserved handles that chunkservers are being told
        self.in_snapshot: set[int] = set()  # chunks that are about to be shared: no lease may begin
        self.expected: set[str] = set()  # servers that had replicas before we restarted
        self._checkpoint: tuple[int, File] | None = None  # the segment that follows it, and its bytes
        self._shipping = threading.Lock()  # guards _checkpoint
        self.log_is_long = threading.Event()
        self._checkpoint_at = context.limits.log_limit
        if context.disk.list():
            self.recover()
        else:  # the first start: so what comes before part D can be tried without it
            self._log.begin()

    @contextmanager
    def section(self) -> Generator[float]:
        """Hold the lock; at the end, let it go and wait for the log. Yields the time (steady.py)."""
        position = 0
        try:
            with self._lock:
                try:
                    yield self._time.now()
                finally:
                    position = self._log.end
        finally:
            self._log.wait_durable(position)

    def record(self, operation: Operation) -> None:
        """Log the operation, then apply it. Whether it fits has been looked at before, in this section."""
        self._log.append(to_record(operation))
        self.state.apply(operation)
        if self._log.size > self._checkpoint_at:
            self.log_is_long.set()

    def recover(self) -> None:
        """Build the state from checkpoint and log, and remember that leases may run from before (leases.py).

        LogBroken when a record is whole but makes no sense.
        """
        raise NotImplementedError(
            "lab 2 part D: checkpoint.read, then replay in order; then `expected` and Leases.recover"
        )

    def checkpoint(self) -> None:
        """Make a checkpoint, and let the log before it go. Other threads go on meanwhile. OSError when the disk does
        not take it: the log only grows longer then."""
        raise NotImplementedError("lab 2 part D: checkpoint.py gives the order")

    def ship(self, file: str, position: int) -> tuple[str, int, bytes]:
        """For a shadow that has all of `file` before `position`: which bytes come next, from where. No section is
        needed.

        The same place as long as there may be more there. At the end of the checkpoint or of a segment, the
        beginning of the segment that follows. For a file that is gone or was never heard of, the beginning
        of the checkpoint, or of the log when there is none.
        """
        raise NotImplementedError("lab 2 part F: only what is durable")

    def chunk(self, handle: int) -> Chunk:
        """NoSuchChunk when no file has it."""
        found = self.state.chunks.get(handle)
        if found is None:
            raise NoSuchChunk(f"no file has chunk {handle}")
        return found

    def up_to_date(self, handle: int) -> dict[str, int]:
        """Server -> version of the replicas that may be handed out (chunks.py), by server."""
        chunk = self.chunk(handle)
        held = self.replicas.of(handle)
        return {server: version for server, version in held if judge(chunk, version) is Worth.UP_TO_DATE}

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
        with self._lock, self._shipping:
            self._log.close()
            if self._checkpoint is not None:
                self._checkpoint[1].close()
                self._checkpoint = None

"""Granting leases, and letting replicas join and leave: the steps of chunks.py, which says why they are safe, and
of leases.py (GFS §3.1, §4.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gfs_master.chunkservers import Chunkservers
from gfs_master.leases import Lease
from gfs_master.metadata import Metadata
from gfs_master.turns import Turns
from labkit import Context


@dataclass(frozen=True)
class Clone:
    """A replica that is to be made at `target` from the one at `source`."""

    target: str
    source: str


@dataclass(frozen=True)
class Committed:
    """What a committed version offers: a lease, and until when on the primary's clock; or nothing."""

    lease: Lease | None = None
    until: float = 0.0


class Granting:
    def __init__(self, context: Context, metadata: Metadata, chunkservers: Chunkservers) -> None:
        self._annotate = context.annotate
        self._rng = context.rng
        self._metadata = metadata
        self._chunkservers = chunkservers
        self._turns = Turns()  # by handle

    def lease(self, handle: int) -> dict[str, Any]:
        """The primary, the secondaries and the version of the chunk's lease, granted now when there is none.

        NoSuchChunk. SharedChunk when it was in a snapshot: `allocate` gives the file one of its own. NoReplica
        when no lease can be granted now: an earlier one may still run and cannot be taken back, a snapshot is
        being made, no up-to-date replica is alive, servers that have one may not have reported yet after a
        restart, or calls to chunkservers failed. Asking again is right.
        """
        raise NotImplementedError(
            "lab 2 part C: hold the chunk's turn; leases.next_step says what to do, chunks.py in which order"
        )

    def revoke(self, lease: Lease) -> bool:
        """Take a lease back. Whether it surely is over: the primary said so, or that it has no such chunk."""
        raise NotImplementedError(
            "lab 2 part C: condemn it first, so that no heartbeat renews it meanwhile; a dead primary "
            "is not asked"
        )

    def take_back(self, handle: int) -> bool:
        """Whether no lease of the chunk runs, after taking back the one that does. The caller sees to it that none
        is granted meanwhile."""
        raise NotImplementedError("lab 2 part F: what is under way holds the turn; wait for it")

    def regroup(self, handle: int, *, clone: Clone | None = None, leave: str | None = None) -> None:
        """Commit a version in which a clone has joined the chunk's replicas, or which one has to leave.

        NoSuchChunk. NoReplica when it cannot be done now, because the lease cannot be taken back, or for the
        reasons of `lease`; or when it turns out that the version would only make replicas stale.
        """
        raise NotImplementedError(
            "lab 2 part E: hold the turn; without a lease; then as for a grant, but commit only what is "
            "worth it"
        )

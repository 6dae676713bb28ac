"""Granting leases: the steps of chunks.py, which says why they are safe, and of leases.py (GFS §3.1)."""

from __future__ import annotations

from typing import Any

from gfs_master.chunkservers import Chunkservers
from gfs_master.leases import Lease
from gfs_master.metadata import Metadata
from gfs_master.turns import Turns
from labkit import Context


class Granting:
    def __init__(self, context: Context, metadata: Metadata, chunkservers: Chunkservers) -> None:
        self._annotate = context.annotate
        self._rng = context.rng
        self._metadata = metadata
        self._chunkservers = chunkservers
        self._turns = Turns()  # by handle

    def lease(self, handle: int) -> dict[str, Any]:
        """The primary, the secondaries and the version of the chunk's lease, granted now when there is none.

        NoSuchChunk. NoReplica when no lease can be granted now: an earlier one may still run and cannot be
        taken back, no up-to-date replica is alive, servers that have one may not have reported yet after a
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

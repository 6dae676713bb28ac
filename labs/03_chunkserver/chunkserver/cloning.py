"""Making replicas out of others: clones from another server, copies on this one (GFS §3.4, §4.3, §5.2).

A lost replica is made anew from a good one while clients go on appending: first most of it is fetched beside
the mutations (`final` false), over and over if the master likes, and then, when the master has stopped them for a
moment, what has changed since (`final` true). Only the last step makes a replica, and it names the version.

Nothing wrong is copied on: the source verifies what it reads, and each block that arrives is compared with the
checksum the source has on record, before it is stored and again when the replica is put together.
"""

from __future__ import annotations

import threading
from typing import Any

from rpc import Client, RetryPolicy

from chunkserver.store import Store
from labkit import Context

PATIENCE = RetryPolicy(first_timeout=2.0, factor=2.0, longest=8.0, attempts=2)
RUN = 16  # blocks that are fetched at once, or copied
FORGOTTEN = 3600.0  # seconds after which the master has given up a clone that it never finished


class Cloning:
    """The handlers of clones and copies."""

    def __init__(self, ctx: Context, client: Client, store: Store) -> None:
        self._ctx = ctx
        self._client = client
        self._store = store
        self._lock = threading.Lock()
        self._turns: dict[int, threading.Lock] = {}
        self._begun: dict[int, float] = {}  # clones that were prepared and not finished: when

    def checksums(self, handle: int) -> dict[str, Any]:
        """The checksums of a replica's blocks: RPC `checksums`."""
        raise NotImplementedError(
            "lab 3 part E: Replica.contents says it all, unless the replica is damaged."
        )

    def clone_chunk(self, handle: int, version: int, source: str, final: bool) -> dict[str, Any]:
        """Fetch what is missing from `source`: RPC `clone_chunk`; with `final` it then is a replica at `version`.

        StaleVersion when the replica here is newer. ReplicaFailed when the source does not answer, says no, or,
        at the end, is not at `version` or sends what its checksums do not match.
        """
        raise NotImplementedError(
            "lab 3 part E: ask for the source's checksums, fetch the blocks that Staging misses, and at "
            "last adopt."
        )

    def copy_chunk(self, handle: int, version: int, copy: int) -> dict[str, Any]:
        """Make a replica of the new chunk `copy`, at version 1, from the one here: RPC `copy_chunk`."""
        raise NotImplementedError(
            "lab 3 part E: the original's lock keeps mutations out; read (which verifies) run by run, "
            "then adopt."
        )

"""What the master orders: replicas, versions, leases (GFS §3.1, §4.2, §4.5).

A version number tells current replicas from stale ones. Before the master grants a lease it raises the
version on every replica it can reach; a replica that was away keeps the old number and gives itself away.
The new number is durable before the answer, ends every lease of an older version, and bars its mutations.
"""

from __future__ import annotations

from typing import Any

from chunkserver.leases import Leases
from chunkserver.store import Store
from labkit import Context


class Versions:
    """The handlers of the master's calls."""

    def __init__(self, ctx: Context, store: Store, leases: Leases) -> None:
        self._ctx = ctx
        self._store = store
        self._leases = leases

    def create_chunk(self, handle: int, version: int) -> dict[str, Any]:
        """Store an empty replica: RPC `create_chunk`. One that is here at `version` already stays as it is;
        StaleVersion when it is at another, or damaged."""
        raise NotImplementedError("lab 3 part A: Store.create does it all.")

    def advance_version(self, handle: int, previous: int, version: int) -> dict[str, Any]:
        """Record a new version: RPC `advance_version`.

        Accepted when the replica is at a version from `previous` to `version`, else StaleVersion. At
        `version` already there is nothing to do, and its lease and serial numbers go on.
        """
        raise NotImplementedError(
            "lab 3 part E: under replica.changed: end leases below `version`, then replica.advance."
        )

    def grant_lease(self, handle: int, version: int, until: float, secondaries: list[str]) -> dict[str, Any]:
        """Be primary: RPC `grant_lease`. StaleVersion unless the replica is at `version`, or when the lease
        of this version was ended before.

        No lease is longer than `limits.lease` from now, so that a grant meant for this server before it
        restarted, with a clock that began elsewhere, does not last for ever.
        """
        raise NotImplementedError(
            "lab 3 part D: under replica.changed: compare versions, then Leases.grant with a bounded `until`."
        )

    def revoke_lease(self, handle: int, version: int) -> dict[str, Any]:
        """Stop being primary: RPC `revoke_lease`. No mutation of this lease starts after the answer."""
        raise NotImplementedError(
            "lab 3 part E: under replica.changed, so that a mutation being applied is finished first."
        )

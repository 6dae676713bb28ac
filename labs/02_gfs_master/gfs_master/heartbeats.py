"""What chunkservers report, and what the master makes of it when they stop (GFS §2.1, §4.4, §4.5, §5.1.1).

The master learns everything volatile from here: who is alive, who stores what, who wants to keep a lease.
Now and then it looks around: silent servers are dead, and a lease that counts on a replica that
is not there any more has to be taken back, because no mutation can succeed under it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gfs_master.granting import Granting
from gfs_master.metadata import Metadata
from labkit import Context


class Heartbeats:
    def __init__(self, context: Context, metadata: Metadata, granting: Granting) -> None:
        self._annotate = context.annotate
        self._metadata = metadata
        self._granting = granting

    def register(
        self, name: str, sent: float, chunks: Mapping[int, int], used: int, rack: str
    ) -> dict[str, Any]:
        """A server starts or reports again; `chunks` are handle -> version. Old news changes nothing, and is
        not told to delete anything."""
        raise NotImplementedError(
            "lab 2 part B: servers, then replicas; part C: doubt its leases; part E: garbage"
        )

    def heartbeat(
        self,
        name: str,
        sent: float,
        chunks: Mapping[int, int],
        damaged: list[int],
        leases: list[tuple[int, int]],
        used: int,
    ) -> dict[str, Any]:
        """A server is alive. `leases` are those it claims, (handle, version); old news renews none."""
        raise NotImplementedError(
            "lab 2 part B: as in register; part C: claims, counted from when this `sent` was heard; "
            "part E: damage, garbage"
        )

    def find_dead(self) -> None:
        """Forget the servers that are dead, and condemn the leases that are hopeless, because a member's replica is gone."""
        raise NotImplementedError(
            "lab 2 part E: a dead primary's lease is doubted, not ended: it may be alive behind a "
            "broken network"
        )

    def reclaim(self) -> None:
        """Take out of the namespace what has been hidden for `garbage_delay` seconds or more (§4.4.1). Its chunks are
        orphans from then on, which servers are told to drop as they report them."""
        raise NotImplementedError("lab 2 part E: one operation for each hidden name")

    def revoke_unwanted(self) -> None:
        """Take back all leases that are UNWANTED, side by side. What fails now is tried again next time."""
        raise NotImplementedError("lab 2 part E: the calls are made outside of the section")

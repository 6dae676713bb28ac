"""What chunkservers report, and what the master makes of it when they stop (GFS §2.1, §4.4, §4.5, §5.1.1).

The master learns everything volatile from here: who is alive, who stores what, who wants to keep a lease.
Now and then it looks around: silent servers are dead, and a lease that counts on a replica that
is not there any more has to be taken back, because no mutation can succeed under it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gfs_master.chunkservers import in_parallel
from gfs_master.granting import Granting
from gfs_master.leases import Lease, Standing
from gfs_master.metadata import Metadata
from gfs_master.operations import Reclaim
from gfs_master.servers import News
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
        # lab 2 part B: servers, then replicas; part C: doubt its leases; part E: garbage
        metadata = self._metadata
        with metadata.section() as now:
            if metadata.servers.register(name, sent, used, rack, now) is News.OLD:
                return {"delete": []}
            metadata.replicas.report(name, chunks, now, started=True)
            # If it has restarted its leases are gone, if it was asked to register they are not.
            metadata.leases.doubt(name)
            return {"delete": metadata.garbage(name, chunks)}

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
        # lab 2 part B: as in register; part C: claims, counted from when this `sent` was heard; part E: damage, garbage
        metadata = self._metadata
        with metadata.section() as now:
            news = metadata.servers.heartbeat(name, sent, used, now)
            server = metadata.servers.get(name)
            if news is not News.FRESH or server is None:
                return {"leases": [], "delete": [], "register": news is News.UNKNOWN}
            metadata.replicas.report(name, chunks, now, started=False)
            metadata.replicas.damage(name, damaged, now)
            renewed = metadata.leases.claim(name, leases, server.heard, now)
            until = sent + metadata.limits.lease
            return {
                "leases": [[handle, until] for handle in renewed],
                "delete": metadata.garbage(name, chunks, damaged),
                "register": False,
            }

    def find_dead(self) -> None:
        """Forget the servers that are dead, and condemn the leases that are hopeless, because a member's replica is gone."""
        # lab 2 part E: a dead primary's lease is doubted, not ended: it may be alive behind a broken network
        metadata = self._metadata
        with metadata.section() as now:
            for name in metadata.servers.find_dead(now):
                self._annotate("dead", server=name)
                metadata.replicas.forget(name)
                metadata.leases.doubt(name)
            self._condemn_hopeless(now)

    def reclaim(self) -> None:
        """Take out of the namespace what has been hidden for `garbage_delay` seconds or more (§4.4.1). Its chunks are
        orphans from then on, which servers are told to drop as they report them."""
        # lab 2 part E: one operation for each hidden name
        metadata = self._metadata
        with metadata.section():
            now, delay = metadata.clock.now(), metadata.limits.garbage_delay
            for hidden in [name for name, at in metadata.state.hidden.items() if now - at >= delay]:
                metadata.record(Reclaim(hidden))

    def revoke_unwanted(self) -> None:
        """Take back all leases that are UNWANTED, side by side. What fails now is tried again next time."""
        # lab 2 part E: the calls are made outside of the section
        with self._metadata.section() as now:
            running = self._metadata.leases.all_running(now)
        unwanted = [lease for lease in running if lease.standing is Standing.UNWANTED]
        in_parallel([lambda lease=lease: self._revoke(lease) for lease in unwanted])

    def _condemn_hopeless(self, now: float) -> None:
        # lab 2 part E
        for lease in self._metadata.leases.all_running(now):
            if self._is_hopeless(lease, now):
                self._metadata.leases.condemn(lease)

    def _is_hopeless(self, lease: Lease, now: float) -> bool:
        """Whether a member's replica is not there. A primary that is dead cannot be asked, so its lease is
        not condemned; a secondary we have not heard of since we started may still come."""
        # lab 2 part E
        servers, replicas = self._metadata.servers, self._metadata.replicas
        if lease.primary not in servers:
            return False
        gone = [name for name in lease.members if (replicas.version(name, lease.handle) or 0) < lease.version]
        return any(name in servers for name in gone) or (bool(gone) and servers.have_had_time(now))

    def _revoke(self, lease: Lease) -> None:
        # lab 2 part E
        self._granting.revoke(lease)

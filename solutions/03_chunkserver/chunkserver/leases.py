"""Leases: until when this server may order the mutations of a chunk (GFS §3.1).

A lease is a promise about time, kept on this server's own clock: the master counts from the moment it sent
or heard something, and names a moment that, on our clock, is never later. It is asked for at the moment a
mutation is applied, under the chunk's lock: while the mutation waited for that lock, it may have ended.

Leases live in memory only: a server that restarts has forgotten them and is nobody's primary. A lease
that was ended stays ended, whatever old grant or renewal still arrives.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace

from labkit.errors import StaleVersion


@dataclass(frozen=True, slots=True)
class Lease:
    """Primary of a chunk at `version` as long as the own clock shows less than `until`."""

    version: int
    until: float
    secondaries: tuple[str, ...]

    def valid(self, now: float) -> bool:
        return now < self.until


class Leases:
    """Handle -> lease. Never reads a clock. Safe to use from several threads."""

    def __init__(self) -> None:
        self._leases: dict[int, Lease] = {}
        self._ended: dict[int, int] = {}
        self._lock = threading.Lock()

    def grant(self, handle: int, lease: Lease) -> None:
        """Take the lease. A grant that comes twice never shortens it.

        StaleVersion when the lease of this version has been ended, or a newer one is there.
        """
        # lab 3 part D: look at `_ended` and at the lease there is; keep the later `until` of equal versions.
        with self._lock:
            known = self._leases.get(handle)
            newest = max(self._ended.get(handle, 0), known.version - 1 if known else 0)
            if lease.version <= newest:
                raise StaleVersion(f"chunk {handle}: the lease of version {lease.version} has ended")
            if known and known.version == lease.version and known.until > lease.until:
                lease = replace(lease, until=known.until)
            self._leases[handle] = lease

    def renew(self, handle: int, version: int, until: float) -> None:
        """The lease of this version holds until `until`; nothing happens if it has ended meanwhile."""
        # lab 3 part E: same version only, and never shorter than before.
        with self._lock:
            lease = self._leases.get(handle)
            if lease and lease.version == version and until > lease.until:
                self._leases[handle] = replace(lease, until=until)

    def end(self, handle: int, version: int) -> None:
        """Leases of `version` and older end now, for good."""
        # lab 3 part E: drop the lease, and remember the version in `_ended`.
        with self._lock:
            self._ended[handle] = max(version, self._ended.get(handle, version))
            lease = self._leases.get(handle)
            if lease and lease.version <= version:
                del self._leases[handle]

    def current(self, handle: int, now: float) -> Lease | None:
        """The lease, if it is valid at `now`."""
        # lab 3 part D: None when there is none or its time has passed.
        lease = self._leases.get(handle)
        return lease if lease and lease.valid(now) else None

    def held(self, now: float) -> dict[int, int]:
        """Handle -> version of all leases valid at `now`."""
        # lab 3 part E: filter by valid(now).
        with self._lock:
            return {handle: lease.version for handle, lease in self._leases.items() if lease.valid(now)}

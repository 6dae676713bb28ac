"""Leases: until when this server may order the mutations of a chunk (GFS §3.1).

A lease is a promise about time, kept on this server's own clock: the master counts from the moment it sent
or heard something, and names a moment that, on our clock, is never later. It is asked for at the moment a
mutation is applied, under the chunk's lock: while the mutation waited for that lock, it may have ended.

Leases live in memory only: a server that restarts has forgotten them and is nobody's primary. A lease
that was ended stays ended, whatever old grant or renewal still arrives.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass


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
        raise NotImplementedError(
            "lab 3 part D: look at `_ended` and at the lease there is; keep the later `until` of equal "
            "versions."
        )

    def renew(self, handle: int, version: int, until: float) -> None:
        """The lease of this version holds until `until`; nothing happens if it has ended meanwhile."""
        raise NotImplementedError("lab 3 part E: same version only, and never shorter than before.")

    def end(self, handle: int, version: int) -> None:
        """Leases of `version` and older end now, for good."""
        raise NotImplementedError("lab 3 part E: drop the lease, and remember the version in `_ended`.")

    def current(self, handle: int, now: float) -> Lease | None:
        """The lease, if it is valid at `now`."""
        raise NotImplementedError("lab 3 part D: None when there is none or its time has passed.")

    def held(self, now: float) -> dict[int, int]:
        """Handle -> version of all leases valid at `now`."""
        raise NotImplementedError("lab 3 part E: filter by valid(now).")

"""Leases: who may order a chunk's mutations, until when, as far as the master knows (GFS §3.1).

The invariant is that the master's idea of a lease ends no earlier than the primary's. The primary's ends
at `sent + length` on its own clock, the master's at `heard + length` on its own, for one and the same
message of the primary. It was sent before it was heard, so no delay and no difference between the clocks
makes two primaries. (Clocks may show different times; they must run equally fast. Jumps are taken out: steady.py.)

A version is offered to one server, once. What follows then is in the table below. Only HELD is told to
clients. The others still keep everybody else from a lease: until they run out, or the primary confirms
that it gave the lease back.

    standing     how it comes about                                 claimed by the primary   lease() does
    OFFERED      logged; the grant's answer is not here             HELD                     revoke, then grant
    HELD         the primary confirmed the grant, or claimed it     renewed                  answer
    RECOVERED    the log says it was offered, before we restarted   HELD                     wait, or as OFFERED
    DOUBTED      the primary registered again, or fell silent       HELD                     revoke, then grant
    UNWANTED     one of its replicas is lost, or it is revoked      not renewed              revoke, then grant

RECOVERED waits until the primary has had the chance to claim it, that is, has sent a heartbeat.

After a restart any chunk may have such a lease. They are not listed: the log says of each, when it is asked
for, and only in the first `length` seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import Enum


class Standing(Enum):
    OFFERED = "offered"
    HELD = "held"
    RECOVERED = "recovered"
    DOUBTED = "doubted"
    UNWANTED = "unwanted"


class Step(Enum):
    """What to do when somebody asks for a chunk's primary."""

    ANSWER = "say who it is"
    WAIT = "say to come again"
    REVOKE = "take the lease back, then grant a new one"
    GRANT = "grant a new one"


@dataclass(frozen=True)
class Lease:
    """The lease of a chunk at `version`. `until` is on the master's clock."""

    handle: int
    version: int
    primary: str
    secondaries: tuple[str, ...]
    until: float
    standing: Standing

    @property
    def members(self) -> tuple[str, ...]:
        return (self.primary, *self.secondaries)


def next_step(lease: Lease | None, primary_spoke: bool) -> Step:
    """The last column of the table. `lease` is one that runs, or None; `primary_spoke` tells whether its
    primary is alive and has sent a heartbeat since it registered."""
    # lab 2 part C: no lease is the easy case
    if lease is None:
        return Step.GRANT
    if lease.standing is Standing.HELD:
        return Step.ANSWER
    if lease.standing is Standing.RECOVERED and not primary_spoke:
        return Step.WAIT
    return Step.REVOKE


@dataclass(frozen=True)
class Offered:
    """A lease that the log says was offered."""

    version: int
    primary: str
    secondaries: tuple[str, ...]


class Leases:
    """At most one lease per chunk. Times are the master's."""

    def __init__(self, length: float) -> None:
        self._length = length
        self._leases: dict[int, Lease] = {}
        self._offered: Callable[[int], Offered | None] = lambda handle: None
        self._recovering_until = float("-inf")
        self._looked_up: set[int] = (
            set()
        )  # chunks of which the log has been asked, or has nothing to say any more

    def recover(self, offered: Callable[[int], Offered | None], now: float) -> None:
        """Note, at a restart, that any chunk may have the lease which the log, asked with `offered`, says was
        offered last: its primary may hold it, for a whole length from now at most, since nothing the master
        allowed before its death counts from later than that."""
        # lab 2 part C: until when to ask
        self._offered = offered
        self._recovering_until = now + self._length

    def running(self, handle: int, now: float) -> Lease | None:
        """The chunk's lease, whatever its standing; None when there is none, or its time has passed."""
        # lab 2 part C: look in the log first, once for each chunk; a lease that has run out is forgotten here
        if now < self._recovering_until:
            self._look_up(handle)
        else:
            self._looked_up.clear()
        lease = self._leases.get(handle)
        if lease is not None and now >= lease.until:
            del self._leases[handle]
            return None
        return lease

    def _look_up(self, handle: int) -> None:
        # lab 2 part C
        if handle in self._looked_up:
            return
        self._looked_up.add(handle)
        offered = self._offered(handle)
        if offered is not None:
            self._leases[handle] = Lease(
                handle,
                offered.version,
                offered.primary,
                offered.secondaries,
                self._recovering_until,
                Standing.RECOVERED,
            )

    def offer(
        self, handle: int, version: int, primary: str, secondaries: Iterable[str], heard: float
    ) -> Lease:
        """Note a lease that is about to be granted, counted from the primary's message heard at `heard`."""
        # lab 2 part C: from this moment it may be held, whatever becomes of the grant, and no earlier one is
        self._looked_up.add(handle)
        until = heard + self._length
        lease = Lease(handle, version, primary, tuple(secondaries), until, Standing.OFFERED)
        self._leases[handle] = lease
        return lease

    def confirm(self, handle: int, version: int, now: float) -> Lease | None:
        """The primary has taken the lease of this version. Returns it, HELD; None when it is no longer to
        be handed out (run out, unwanted)."""
        # lab 2 part C: between the offer and the answer a replica may have been lost
        lease = self.running(handle, now)
        if lease is None or lease.version != version or lease.standing is Standing.UNWANTED:
            return None
        self._leases[handle] = replace(lease, standing=Standing.HELD)
        return self._leases[handle]

    def claim(self, server: str, claims: Iterable[tuple[int, int]], heard: float, now: float) -> list[int]:
        """A heartbeat claims leases (handle, version). Renews those it may keep, to `heard` plus the length,
        and returns their handles: the lease runs, is this server's at this version, and is not UNWANTED."""
        # lab 2 part C: a claim is proof that the primary has the lease; never shorten it
        renewed: list[int] = []
        for handle, version in claims:
            lease = self.running(handle, now)
            if lease is None or (lease.primary, lease.version) != (server, version):
                continue
            if lease.standing is Standing.UNWANTED:
                continue
            until = max(lease.until, heard + self._length)
            self._leases[handle] = replace(lease, until=until, standing=Standing.HELD)
            renewed.append(handle)
        return renewed

    def doubt(self, server: str) -> None:
        """`server` may have lost its leases: all but the unwanted ones where it is primary are DOUBTED.
        One that is RECOVERED stays so: nothing new is known of it."""
        # lab 2 part C: only what was OFFERED or HELD can be doubted
        for handle, lease in self._leases.items():
            if lease.primary == server and lease.standing in (Standing.OFFERED, Standing.HELD):
                self._leases[handle] = replace(lease, standing=Standing.DOUBTED)

    def condemn(self, lease: Lease) -> None:
        """The lease is to be revoked: it is UNWANTED from now on."""
        # lab 2 part C: only the very lease that was meant
        found = self._leases.get(lease.handle)
        if found is not None and found.version == lease.version:
            self._leases[lease.handle] = replace(found, standing=Standing.UNWANTED)

    def end(self, lease: Lease) -> None:
        """The primary does not have the lease any more, or never had it."""
        # lab 2 part C: only the very lease that was meant
        found = self._leases.get(lease.handle)
        if found is not None and found.version == lease.version:
            del self._leases[lease.handle]

    def all_running(self, now: float) -> list[Lease]:
        """Every lease whose time has not passed; of those from before a restart only the ones asked for since."""
        # lab 2 part E: running() forgets those that ran out
        running = [self.running(handle, now) for handle in list(self._leases)]
        return [lease for lease in running if lease is not None]

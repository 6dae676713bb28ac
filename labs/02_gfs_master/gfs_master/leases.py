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
from dataclasses import dataclass
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
    raise NotImplementedError("lab 2 part C: no lease is the easy case")


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
        raise NotImplementedError("lab 2 part C: until when to ask")

    def running(self, handle: int, now: float) -> Lease | None:
        """The chunk's lease, whatever its standing; None when there is none, or its time has passed."""
        raise NotImplementedError(
            "lab 2 part C: look in the log first, once for each chunk; a lease that has run out is "
            "forgotten here"
        )

    def offer(
        self, handle: int, version: int, primary: str, secondaries: Iterable[str], heard: float
    ) -> Lease:
        """Note a lease that is about to be granted, counted from the primary's message heard at `heard`."""
        raise NotImplementedError(
            "lab 2 part C: from this moment it may be held, whatever becomes of the grant, and no "
            "earlier one is"
        )

    def confirm(self, handle: int, version: int, now: float) -> Lease | None:
        """The primary has taken the lease of this version. Returns it, HELD; None when it is no longer to
        be handed out (run out, unwanted)."""
        raise NotImplementedError(
            "lab 2 part C: between the offer and the answer a replica may have been lost"
        )

    def claim(self, server: str, claims: Iterable[tuple[int, int]], heard: float, now: float) -> list[int]:
        """A heartbeat claims leases (handle, version). Renews those it may keep, to `heard` plus the length,
        and returns their handles: the lease runs, is this server's at this version, and is not UNWANTED."""
        raise NotImplementedError(
            "lab 2 part C: a claim is proof that the primary has the lease; never shorten it"
        )

    def doubt(self, server: str) -> None:
        """`server` may have lost its leases: all but the unwanted ones where it is primary are DOUBTED.
        One that is RECOVERED stays so: nothing new is known of it."""
        raise NotImplementedError("lab 2 part C: only what was OFFERED or HELD can be doubted")

    def condemn(self, lease: Lease) -> None:
        """The lease is to be revoked: it is UNWANTED from now on."""
        raise NotImplementedError("lab 2 part C: only the very lease that was meant")

    def end(self, lease: Lease) -> None:
        """The primary does not have the lease any more, or never had it."""
        raise NotImplementedError("lab 2 part C: only the very lease that was meant")

    def all_running(self, now: float) -> list[Lease]:
        """Every lease whose time has not passed; of those from before a restart only the ones asked for since."""
        raise NotImplementedError("lab 2 part E: running() forgets those that ran out")

"""The chunkservers the master knows: when each was last heard, and which are dead (GFS §2.1, §4.1).

A server's clock and the master's cannot be compared. So of its newest message two times are kept as a pair:
`sent` on the server's clock and `heard` on the master's. Whatever is allowed until `sent + t` there is over
by `heard + t` here, because the message was sent before it was heard; leases rest on that (leases.py).

Messages may overtake each other. An older one than the newest, by `sent`, is old news and changes nothing.
This relies on a server's clock not going back, restarts included, while the master remembers it.

Silence is evidence of death only if the master was there to listen. When it was not (it was paused, or the clock
jumped), its time stood still (steady.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from gfs_master.placement import Load
from labkit.limits import Limits

RECENT = 60.0  # seconds for which a chunk counts as recently created (§4.2)


class News(Enum):
    """What a message from a server was to us."""

    FRESH = "the newest from this server, or a repeat of it"
    OLD = "overtaken by a newer one"
    UNKNOWN = "from a server that is not registered"


@dataclass
class Server:
    """One live chunkserver. `spoke`: it has sent a heartbeat since it registered."""

    name: str
    rack: str
    sent: float
    heard: float
    used: int
    spoke: bool = False
    created: list[float] = field(default_factory=list[float])


class Servers:
    """All chunkservers that are not dead. `now` is always the master's time."""

    def __init__(self, limits: Limits, now: float) -> None:
        self._limits = limits
        self._servers: dict[str, Server] = {}
        self._patient_until = now + limits.dead_after

    def __contains__(self, name: object) -> bool:
        return name in self._servers

    def names(self) -> set[str]:
        return set(self._servers)

    def get(self, name: str) -> Server | None:
        return self._servers.get(name)

    def register(self, name: str, sent: float, used: int, rack: str, now: float) -> News:
        """A server has started, or reports again. FRESH or OLD."""
        raise NotImplementedError(
            "lab 2 part B: a repeat (equal `sent`) is fresh, but was heard when it first came"
        )

    def heartbeat(self, name: str, sent: float, used: int, now: float) -> News:
        """A server is alive."""
        raise NotImplementedError(
            "lab 2 part B: as in register, except that nobody becomes known by a heartbeat"
        )

    def is_fresh(self, name: str, now: float) -> bool:
        """Whether the last message is new enough for a lease that counts from it to be worth something."""
        raise NotImplementedError(
            "lab 2 part C: dead_after is the limit, whether or not anybody has noticed the death yet"
        )

    def find_dead(self, now: float) -> list[str]:
        """Forget the servers silent for more than `dead_after` seconds, and return their names, sorted.
        Nobody is dead before everybody had the time to speak."""
        raise NotImplementedError("lab 2 part E: have_had_time first")

    def have_had_time(self, now: float) -> bool:
        """Whether a server that is not known can be taken for dead. False for `dead_after` seconds from the
        master's start."""
        raise NotImplementedError("lab 2 part B: keep the moment until which to be patient")

    def count_creation(self, name: str, now: float) -> None:
        """A chunk was created there."""
        known = self._servers.get(name)
        if known is not None:
            known.created = [*(then for then in known.created if now - then < RECENT), now]

    def loads(self, now: float) -> list[Load]:
        """What placement needs to know, by name."""
        return [
            Load(name, server.rack, server.used, sum(now - then < RECENT for then in server.created))
            for name, server in sorted(self._servers.items())
        ]

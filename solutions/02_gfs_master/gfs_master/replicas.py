"""Which server has which chunk, as the servers themselves say (GFS §2.6.2). Never logged: asked anew.

What is known of one replica comes from reports (register, heartbeat: everything a server stores) and from
its answers to the master's own calls. A report may have been on its way while such a call was made, and
says then what was true before. Two rules keep it from undoing what we know better:

- a version never falls while the replica is there: chunkservers record it durably before they answer;
- a replica whose answer we had less than `settle` seconds ago is not gone because a heartbeat, which may
  be older, does not list it. A registration is the first word of a start, and is believed.

Pure: versions are not judged here (see chunks.py), and time is passed in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Held:
    """A replica's version, and when the server last answered a call of ours about it, if ever."""

    version: int
    confirmed: float | None = None


class Replicas:
    def __init__(self, settle: float) -> None:
        self._settle = settle
        self._held: dict[str, dict[int, Held]] = {}
        self._servers: dict[int, set[str]] = {}
        self._damaged: dict[str, set[int]] = {}

    def of(self, handle: int) -> dict[str, int]:
        """Server -> version, for every replica of the chunk that is not damaged."""
        return {server: self._held[server][handle].version for server in self._servers.get(handle, ())}

    def version(self, server: str, handle: int) -> int | None:
        """The version of one replica; None when there is none."""
        held = self._held.get(server, {}).get(handle)
        return None if held is None else held.version

    def report(self, server: str, chunks: Mapping[int, int], now: float, *, started: bool) -> None:
        """Everything the server stores, handle -> version; `started` when it registered with this. Both rules
        above apply."""
        # lab 2 part B: build the server's new table from the report and the old one, then compare the two
        old = self._held.get(server, {})
        damaged = self._damaged.get(server, set())
        damaged.intersection_update(chunks)
        new: dict[int, Held] = {}
        for handle, version in chunks.items():
            if handle not in damaged:
                before = old.get(handle)
                new[handle] = before if before and before.version >= version else Held(version)
        if not started:
            late = {handle: held for handle, held in old.items() if handle not in chunks}
            new.update({handle: held for handle, held in late.items() if self._is_recent(held, now)})
        for handle in new.keys() - old.keys():
            self._servers.setdefault(handle, set()).add(server)
        self._held[server] = new
        for handle in old.keys() - new.keys():
            self._unlink(server, handle)

    def confirm(self, server: str, handle: int, version: int, now: float) -> None:
        """The server answered us that it stores the chunk at `version`."""
        # lab 2 part B: remember when, for the second rule
        before = self.version(server, handle) or 0
        self._held.setdefault(server, {})[handle] = Held(max(version, before), now)
        self._servers.setdefault(handle, set()).add(server)

    def damage(self, server: str, handles: Iterable[int]) -> None:
        """The server found these replicas damaged: they are none, until it has dropped them."""
        # lab 2 part E: a later report that still lists one must not bring it back
        for handle in handles:
            self._damaged.setdefault(server, set()).add(handle)
            self.drop(server, handle)

    def drop(self, server: str, handle: int) -> None:
        """The server has no such replica."""
        # lab 2 part B: out of both tables, if it is there
        if self._held.get(server, {}).pop(handle, None) is not None:
            self._unlink(server, handle)

    def forget(self, server: str) -> None:
        """The server is dead: it has nothing, as far as we know."""
        # lab 2 part E: like dropping all it had
        for handle in self._held.pop(server, {}):
            self._unlink(server, handle)
        self._damaged.pop(server, None)

    def _is_recent(self, held: Held, now: float) -> bool:
        # lab 2 part B
        return held.confirmed is not None and now - held.confirmed < self._settle

    def _unlink(self, server: str, handle: int) -> None:
        servers = self._servers[handle]
        servers.discard(server)
        if not servers:
            del self._servers[handle]

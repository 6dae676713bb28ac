"""Which server has which chunk, as the servers themselves say (GFS §2.6.2). Never logged: asked anew.

What is known of one replica comes from reports (register, heartbeat: everything a server stores) and from
its answers to the master's own calls. A report may have been on its way while such a call was made, and
says then what was true before. Three rules keep it from undoing what we know better:

- a version never falls while the replica is there: chunkservers record it durably before they answer;
- a replica whose answer we had less than `settle` seconds ago is not gone because a heartbeat, which may
  be older, does not list it. A registration is the first word of a start, and is believed;
- nor is one that was cloned as shortly ago damaged, because a heartbeat says so: that was the one before.

Of millions of chunks most have the same few servers and versions, so each such group is kept once: a chunk
costs one entry of one table. To find what a server has no longer means to look at every chunk; that is done
only when the numbers show that something is missing.

Pure: versions are not judged here (see chunks.py), and time is passed in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

Group = tuple[tuple[str, int], ...]  # (server, version) of every replica of a chunk, by server

MOST_GROUPS = 100_000  # kept at once


class Replicas:
    """`changed` are the chunks whose replicas have, since somebody emptied it."""

    def __init__(self, settle: float) -> None:
        self.changed: set[int] = set()
        self._settle = settle
        self._held: dict[int, Group] = {}
        self._counts: dict[str, int] = {}
        self._confirmed: dict[
            str, dict[int, float]
        ] = {}  # server -> handle -> when it last answered about it
        self._cloned: dict[tuple[str, int], float] = {}
        self._damaged: dict[str, set[int]] = {}
        self._groups: dict[Group, Group] = {}

    def of(self, handle: int) -> Group:
        """(server, version) of every replica of the chunk that is not damaged, by server."""
        return self._held.get(handle, ())

    def version(self, server: str, handle: int) -> int | None:
        """The version of one replica; None when there is none."""
        return dict(self.of(handle)).get(server)

    def report(self, server: str, chunks: Mapping[int, int], now: float, *, started: bool) -> None:
        """Everything the server stores, handle -> version; `started` when it registered with this. The rules
        above apply."""
        raise NotImplementedError(
            "lab 2 part B: put in what is listed; then take out what is not, but for what was confirmed "
            "lately"
        )

    def confirm(self, server: str, handle: int, version: int, now: float) -> None:
        """The server, which is alive, answered us that it stores the chunk at `version`."""
        raise NotImplementedError("lab 2 part B: remember when, for the second rule")

    def confirm_clone(self, server: str, handle: int, version: int, now: float) -> None:
        """The server answered us that it has made a new replica of the chunk, instead of what it had."""
        raise NotImplementedError("lab 2 part E: forget the damage, and remember when, for the third rule")

    def damage(self, server: str, handles: Iterable[int], now: float) -> None:
        """The server found these replicas damaged: they are none, until it has dropped them."""
        raise NotImplementedError("lab 2 part E: a later report that still lists one must not bring it back")

    def drop(self, server: str, handle: int) -> None:
        """The server has no such replica."""
        raise NotImplementedError("lab 2 part B: out of the table, if it is there")

    def forget(self, server: str) -> None:
        """The server is dead: it has nothing, as far as we know."""
        raise NotImplementedError("lab 2 part E: like dropping all it had")

    def _kept(self, group: Group) -> Group:
        if len(self._groups) > MOST_GROUPS:
            self._groups.clear()
        return self._groups.setdefault(group, group)

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

from collections.abc import Iterable, Iterator, Mapping

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
        # lab 2 part B: put in what is listed; then take out what is not, but for what was confirmed lately
        damaged = self._damaged.get(server, set())
        damaged.intersection_update(chunks)
        known = 0
        for handle, version in chunks.items():
            if handle not in damaged:
                known += self._put(server, handle, version)
        recent = set[int]() if started else self._recent(server, now) - chunks.keys()
        if self._counts.get(server, 0) > known + len(recent):
            gone = {
                handle: left
                for handle, left in self._without(server)
                if handle not in recent and (handle not in chunks or handle in damaged)
            }
            self._shrink(server, gone)

    def confirm(self, server: str, handle: int, version: int, now: float) -> None:
        """The server, which is alive, answered us that it stores the chunk at `version`."""
        # lab 2 part B: remember when, for the second rule
        self._confirmed.setdefault(server, {})[handle] = now
        self._put(server, handle, version)

    def confirm_clone(self, server: str, handle: int, version: int, now: float) -> None:
        """The server answered us that it has made a new replica of the chunk, instead of what it had."""
        # lab 2 part E: forget the damage, and remember when, for the third rule
        self._damaged.get(server, set()).discard(handle)
        self._cloned[server, handle] = now
        self.confirm(server, handle, version, now)

    def damage(self, server: str, handles: Iterable[int], now: float) -> None:
        """The server found these replicas damaged: they are none, until it has dropped them."""
        # lab 2 part E: a later report that still lists one must not bring it back
        self._cloned = {key: then for key, then in self._cloned.items() if now - then < self._settle}
        for handle in handles:
            if (server, handle) not in self._cloned:
                self._damaged.setdefault(server, set()).add(handle)
                self.drop(server, handle)

    def drop(self, server: str, handle: int) -> None:
        """The server has no such replica."""
        # lab 2 part B: out of the table, if it is there
        held = self.of(handle)
        left = tuple(one for one in held if one[0] != server)
        if left != held:
            self._shrink(server, {handle: left})

    def forget(self, server: str) -> None:
        """The server is dead: it has nothing, as far as we know."""
        # lab 2 part E: like dropping all it had
        self._shrink(server, dict(self._without(server)))
        for table in (self._damaged, self._counts, self._confirmed):
            table.pop(server, None)

    def _without(self, server: str) -> Iterator[tuple[int, Group]]:
        """Every chunk the server has, with the group that is left without it."""
        # lab 2 part B
        # Chunks share their groups, so a million of them take no more than a look at each one's group.
        known: dict[int, Group] = {}
        for handle, held in self._held.items():
            left = known.get(id(held))
            if left is None:
                left = known[id(held)] = self._kept(tuple(one for one in held if one[0] != server))
            if len(left) < len(held):
                yield handle, left

    def _shrink(self, server: str, left: Mapping[int, Group]) -> None:
        """These chunks lost their replica on the server; this is left of their groups."""
        # lab 2 part B
        self.changed.update(left)
        confirmed = self._confirmed.get(server, {})
        self._counts[server] = self._counts.get(server, 0) - len(left)
        for handle, group in left.items():
            confirmed.pop(handle, None)
            if group:
                self._held[handle] = group
            else:
                del self._held[handle]

    def _put(self, server: str, handle: int, version: int) -> bool:
        """Whether it was there already."""
        # lab 2 part B
        held = self._held.get(handle, ())
        for index, (name, before) in enumerate(held):
            if name == server:
                if before < version:
                    new = (*held[:index], (server, version), *held[index + 1 :])
                    self._held[handle] = self._kept(new)
                return True
        self._held[handle] = self._kept(tuple(sorted((*held, (server, version)))))
        self._counts[server] = self._counts.get(server, 0) + 1
        self.changed.add(handle)
        return False

    def _recent(self, server: str, now: float) -> set[int]:
        """Handles the server has answered about less than `settle` seconds ago; the others are forgotten."""
        # lab 2 part B
        confirmed = self._confirmed.get(server, {})
        recent = {handle: then for handle, then in confirmed.items() if now - then < self._settle}
        self._confirmed[server] = recent
        return set(recent)

    def _kept(self, group: Group) -> Group:
        if len(self._groups) > MOST_GROUPS:
            self._groups.clear()
        return self._groups.setdefault(group, group)

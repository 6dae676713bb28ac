"""Enough replicas of every chunk, and not too many in one place (GFS §4.3).

A chunk with fewer than `limits.replicas` up-to-date replicas is cloned, those with the fewest first, since they are the
nearest to being lost. One with more gives one up. When there is nothing else to do a replica moves from
the fullest server to the emptiest: it is cloned there, and is then one too many.

A clone is prepared while clients go on mutating, which takes long; then the chunk's lease is taken back, the rest
is copied and the new version committed with it, which is short (granting.py). At most `limits.clones` are under
way at once, and one to or from any server, so that they leave room for clients.

Nobody is cloned before all servers had time to report, nor for a server that is only silent.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from gfs_master.chunkservers import Chunkservers
from gfs_master.granting import Clone, Granting
from gfs_master.metadata import Metadata
from labkit import Context

SLICE = 500  # chunks looked at in one section
DRAWS = 200  # chunks looked at to find one that can move
REST = 2.0  # heartbeats until something that failed is tried again, and between two moves


@dataclass(frozen=True)
class Task:
    """Something to do for a chunk: make a clone, or let a replica leave."""

    handle: int
    clone: Clone | None = None
    leave: str | None = None

    @property
    def servers(self) -> set[str]:
        return {self.clone.source, self.clone.target} if self.clone else set()


class Rereplication:
    def __init__(
        self, context: Context, metadata: Metadata, granting: Granting, chunkservers: Chunkservers
    ) -> None:
        self._annotate = context.annotate
        self._rng = context.rng
        self._metadata = metadata
        self._granting = granting
        self._chunkservers = chunkservers
        self._rest = REST * context.limits.heartbeat
        # All that follows is used in sections.
        self._pool: set[int] = set()  # chunks that may have too few replicas, or too many
        self._under_way: dict[int, Task] = {}
        self._not_before: dict[int, float] = {}
        self._no_move_before = float("-inf")
        self._threads: list[threading.Thread] = []

    def look(self) -> None:
        """Begin what there is to do and room for, each in a thread of its own; the next look comes soon."""
        raise NotImplementedError("lab 2 part E: fewest copies first; then what is too much; then balance")

    def stop(self) -> None:
        """Wait, not for ever, for what is under way; its calls fail when the client has been closed."""
        for thread in self._threads:
            thread.join(5.0)

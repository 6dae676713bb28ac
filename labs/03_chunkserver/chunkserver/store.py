"""All replicas of this server, found again on its disk after a restart (GFS §2.6.2, §5.2).

The disk is the truth: the chunkserver has the last word on what it stores, and tells the master by
registering. Damaged replicas are kept apart: they are neither listed nor served, only reported.
"""

from __future__ import annotations

import threading

from chunkserver.blocks import Contents
from chunkserver.replica import Replica
from labkit.disk import Disk


class Store:
    """Handle -> replica. Everything may be called from several threads."""

    def __init__(self, disk: Disk, block_size: int) -> None:
        self._disk = disk
        self._block_size = block_size
        self._replicas: dict[int, Replica] = {}
        self._lock = threading.Lock()

    def recover(self) -> None:
        """Take up every replica on the disk; remove files of unfinished creations, removals, replacements, clones.

        A metadata log makes a replica. A data or redo file without one was left by a crash.
        """
        raise NotImplementedError(
            "lab 3 part A: recover a Replica for every .meta file; remove .new and .part files, and "
            "what has no .meta."
        )

    def create(self, handle: int, version: int) -> None:
        """Store an empty replica at `version`, durably. Doing it again is no error.

        StaleVersion when there is a replica at another version, or a damaged one: it may hold data.
        """
        raise NotImplementedError(
            "lab 3 part A: under the lock; put the Replica into the table only after its create() returned."
        )

    def adopt(self, handle: int, contents: Contents) -> None:
        """Make what is staged for `handle` (staging.py) a replica with these contents, durably.

        A damaged replica, or one of an older version, gives way to it. StaleVersion when there is another.
        """
        raise NotImplementedError(
            "lab 3 part E: delete the one that gives way; then, under the lock, as in create."
        )

    def find(self, handle: int) -> Replica | None:
        """The replica, if there is an intact one."""
        raise NotImplementedError("lab 3 part E: look it up, and at its health.")

    def get(self, handle: int) -> Replica:
        """The replica, intact or damaged; NoSuchChunk when there is none."""
        raise NotImplementedError("lab 3 part A: look it up.")

    def delete(self, handle: int, version: int | None) -> bool:
        """Remove the replica at `version`, or a damaged one at any; whether there was such a replica."""
        raise NotImplementedError(
            "lab 3 part E: compare under the replica's lock, then with the table's as well take it out "
            "and remove it."
        )

    def intact(self) -> list[Replica]:
        """Replicas that may be served, by handle."""
        raise NotImplementedError("lab 3 part A: filter by health, sorted by handle.")

    def damaged(self) -> list[Replica]:
        """Replicas found damaged since the start, by handle."""
        raise NotImplementedError("lab 3 part A: filter by health, sorted by handle.")

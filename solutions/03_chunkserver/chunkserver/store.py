"""All replicas of this server, found again on its disk after a restart (GFS §2.6.2, §5.2).

The disk is the truth: the chunkserver has the last word on what it stores, and tells the master by
registering. Damaged replicas are kept apart: they are neither listed nor served, only reported.
"""

from __future__ import annotations

import threading

from chunkserver.blocks import Contents
from chunkserver.log import META, NEW
from chunkserver.redo import REDO
from chunkserver.replica import DATA, PART, Health, Replica
from labkit.disk import Disk
from labkit.errors import NoSuchChunk, StaleVersion


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
        # lab 3 part A: recover a Replica for every .meta file; remove .new and .part files, and what has no .meta.
        names = self._disk.list()
        handles = {int(name[: -len(META)]) for name in names if name.endswith(META)}
        for handle in sorted(handles):
            replica = Replica(self._disk, self._block_size, handle)
            replica.recover()
            self._replicas[handle] = replica
        wanted = {f"{handle}{suffix}" for handle in handles for suffix in (META, DATA, REDO)}
        for name in names:
            if name.endswith((DATA, REDO, NEW, PART)) and name not in wanted and self._disk.exists(name):
                self._disk.remove(name)

    def create(self, handle: int, version: int) -> None:
        """Store an empty replica at `version`, durably. Doing it again is no error.

        StaleVersion when there is a replica at another version, or a damaged one: it may hold data.
        """
        # lab 3 part A: under the lock; put the Replica into the table only after its create() returned.
        with self._lock:
            replica = self._replicas.get(handle)
            if replica is None:
                replica = Replica(self._disk, self._block_size, handle)
                replica.create(version)
                self._replicas[handle] = replica
            elif replica.health is not Health.INTACT or replica.version != version:
                raise StaleVersion(
                    f"chunk {handle} is here already, {replica.health.value}, at {replica.version}"
                )

    def adopt(self, handle: int, contents: Contents) -> None:
        """Make what is staged for `handle` (staging.py) a replica with these contents, durably.

        A damaged replica, or one of an older version, gives way to it. StaleVersion when there is another.
        """
        # lab 3 part E: delete the one that gives way; then, under the lock, as in create.
        old = self._replicas.get(handle)
        if old is not None and (old.health is Health.DAMAGED or old.version < contents.version):
            self.delete(handle, old.version)
        with self._lock:
            if handle in self._replicas:
                raise StaleVersion(f"chunk {handle} is here already, at {self._replicas[handle].version}")
            replica = Replica(self._disk, self._block_size, handle)
            replica.adopt(contents)
            self._replicas[handle] = replica

    def find(self, handle: int) -> Replica | None:
        """The replica, if there is an intact one."""
        # lab 3 part E: look it up, and at its health.
        replica = self._replicas.get(handle)
        return replica if replica is not None and replica.health is Health.INTACT else None

    def get(self, handle: int) -> Replica:
        """The replica, intact or damaged; NoSuchChunk when there is none."""
        # lab 3 part A: look it up.
        replica = self._replicas.get(handle)
        if replica is None:
            raise NoSuchChunk(f"chunk {handle} is not here")
        return replica

    def delete(self, handle: int, version: int | None) -> bool:
        """Remove the replica at `version`, or a damaged one at any; whether there was such a replica."""
        # lab 3 part E: compare under the replica's lock, then with the table's as well take it out and remove it.
        replica = self._replicas.get(handle)
        if replica is None:
            return False
        with replica.changed:
            if replica.health is Health.REMOVED:
                return False
            if replica.health is Health.INTACT and replica.version != version:
                return False
            # A creation must not come between the removals of the two files.
            with self._lock:
                del self._replicas[handle]
                replica.remove()
        return True

    def intact(self) -> list[Replica]:
        """Replicas that may be served, by handle."""
        # lab 3 part A: filter by health, sorted by handle.
        return self._with_health(Health.INTACT)

    def damaged(self) -> list[Replica]:
        """Replicas found damaged since the start, by handle."""
        # lab 3 part A: filter by health, sorted by handle.
        return self._with_health(Health.DAMAGED)

    def _with_health(self, health: Health) -> list[Replica]:
        # lab 3 part A
        replicas = sorted(self._replicas.copy().items())
        return [replica for _, replica in replicas if replica.health is health]

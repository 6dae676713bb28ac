"""All replicas of this server, under one lock: `changed` of each of them is the same condition."""

from __future__ import annotations

import threading

from chunkserver.blocks import Contents
from chunkserver.log import META, NEW
from chunkserver.redo import REDO
from chunkserver.replica import DATA, PART, Health, Replica

from labkit.disk import Disk
from labkit.errors import NoSuchChunk, StaleVersion


class Store:
    def __init__(self, disk: Disk, block_size: int) -> None:
        self.changed = threading.Condition(threading.RLock())
        self._disk, self._block_size = disk, block_size
        self._all: dict[int, Replica] = {}

    def _replica(self, handle: int) -> Replica:
        replica = Replica(self._disk, self._block_size, handle)
        replica.changed = self.changed
        return replica

    def recover(self) -> None:
        with self.changed:
            for name in self._disk.list():
                if name.endswith(META):
                    handle = int(name.removesuffix(META))
                    self._all[handle] = self._replica(handle)
                    self._all[handle].recover()
            for name in self._disk.list():
                stem, dot, suffix = name.partition(".")
                known = stem.isdecimal() and int(stem) in self._all
                if dot + suffix in (NEW, PART) or (dot + suffix in (DATA, REDO) and not known):
                    self._disk.remove(name)

    def create(self, handle: int, version: int) -> None:
        with self.changed:
            if handle in self._all:
                there = self._all[handle]
                if there.health is Health.INTACT and there.version == version:
                    return
                raise StaleVersion("something else is here")
            replica = self._replica(handle)
            replica.create(version)
            self._all[handle] = replica

    def adopt(self, handle: int, contents: Contents) -> None:
        with self.changed:
            old = self._all.get(handle)
            if old is not None:
                if old.health is Health.INTACT and old.version >= contents.version:
                    raise StaleVersion("what is here is as good")
                self.delete(handle, old.version)
            replica = self._replica(handle)
            replica.adopt(contents)
            self._all[handle] = replica

    def find(self, handle: int) -> Replica | None:
        with self.changed:
            replica = self._all.get(handle)
            return replica if replica and replica.health is Health.INTACT else None

    def get(self, handle: int) -> Replica:
        with self.changed:
            if handle not in self._all:
                raise NoSuchChunk("not here")
            return self._all[handle]

    def delete(self, handle: int, version: int | None) -> bool:
        with self.changed:
            replica = self._all.get(handle)
            if replica is None or (replica.health is Health.INTACT and replica.version != version):
                return False
            del self._all[handle]
            replica.remove()
            return True

    def intact(self) -> list[Replica]:
        return self._of(Health.INTACT)

    def damaged(self) -> list[Replica]:
        return self._of(Health.DAMAGED)

    def _of(self, health: Health) -> list[Replica]:
        with self.changed:
            return [self._all[handle] for handle in sorted(self._all) if self._all[handle].health is health]

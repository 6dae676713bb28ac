"""All replicas of this server."""

from __future__ import annotations

import re
import threading

from chunkserver.blocks import Contents
from chunkserver.index import SIDES
from chunkserver.replica import Health, Replica

from labkit.disk import Disk
from labkit.errors import NoSuchChunk, StaleVersion

_INDEX = re.compile(rf"chunk(\d+)({'|'.join(map(re.escape, SIDES))})")


class Store:
    def __init__(self, disk: Disk, block_size: int) -> None:
        self._disk, self._block_size = disk, block_size
        self._lock = threading.RLock()
        self._replicas: dict[int, Replica] = {}

    def recover(self) -> None:
        keep: set[str] = set()
        for handle in {int(found[1]) for name in self._disk.list() if (found := _INDEX.fullmatch(name))}:
            replica = Replica(self._disk, self._block_size, handle)
            if replica.recover():
                self._replicas[handle] = replica
                keep |= replica.files() | {f"chunk{handle}{side}" for side in SIDES}
        spoilt = {f"chunk{replica.handle}-" for replica in self.damaged()}
        for name in self._disk.list():
            if name not in keep and not name.startswith(tuple(spoilt)):
                self._disk.remove(name)

    def create(self, handle: int, version: int) -> None:
        with self._lock:
            there = self._replicas.get(handle)
            if there is None:
                replica = Replica(self._disk, self._block_size, handle)
                replica.create(version)
                self._replicas[handle] = replica
            elif there.health is not Health.INTACT or there.version != version:
                raise StaleVersion(f"{handle} is here, {there.health.value}, version {there.version}")

    def adopt(self, handle: int, contents: Contents) -> None:
        with self._lock:
            old = self._replicas.get(handle)
            if old is not None and (old.health is Health.DAMAGED or old.version < contents.version):
                self.delete(handle, old.version)
            if handle in self._replicas:
                raise StaleVersion(f"{handle} is here")
            replica = Replica(self._disk, self._block_size, handle)
            replica.adopt(contents)
            self._replicas[handle] = replica

    def find(self, handle: int) -> Replica | None:
        replica = self._replicas.get(handle)
        return None if replica is None or replica.health is not Health.INTACT else replica

    def get(self, handle: int) -> Replica:
        try:
            return self._replicas[handle]
        except KeyError:
            raise NoSuchChunk(f"there is no {handle}") from None

    def delete(self, handle: int, version: int | None) -> bool:
        replica = self._replicas.get(handle)
        if replica is None:
            return False
        with replica.changed, self._lock:
            fits = replica.health is Health.DAMAGED or replica.version == version
            if replica.health is Health.REMOVED or not fits:
                return False
            del self._replicas[handle]
            replica.remove()
            return True

    def intact(self) -> list[Replica]:
        return [one for _, one in sorted(self._replicas.copy().items()) if one.health is Health.INTACT]

    def damaged(self) -> list[Replica]:
        return [one for _, one in sorted(self._replicas.copy().items()) if one.health is Health.DAMAGED]

"""A replica in the making, whose blocks are known by their checksums."""

from __future__ import annotations

from contextlib import closing

from chunkserver.blocks import Contents, first_mismatch
from chunkserver.replica import staging_name

from labkit.disk import Buffer, Disk


class Staging:
    def __init__(self, disk: Disk, handle: int, block_size: int) -> None:
        self._disk, self._size = disk, block_size
        self._name, self._old = staging_name(handle), f"chunk{handle}-"

    def missing(self, contents: Contents) -> list[int]:
        names = [self._name, *(name for name in self._disk.list() if name.startswith(self._old))]
        left = dict(enumerate(contents.blocks))
        for name in names:
            if not self._disk.exists(name):
                continue
            with closing(self._disk.open(name)) as file:
                for index, block in list(left.items()):
                    held = file.pread(index * self._size, block.valid)
                    if first_mismatch((block,), self._size, held) is None:
                        if name != self._name:
                            self.put(index, held)
                        del left[index]
        return sorted(left)

    def put(self, index: int, data: Buffer) -> None:
        with closing(self._disk.open(self._name, create=True)) as file:
            file.pwrite(index * self._size, data)

    def finish(self, contents: Contents) -> None:
        with closing(self._disk.open(self._name, create=True)) as file:
            file.truncate(contents.length)
            file.sync()

    def drop(self) -> None:
        if self._disk.exists(self._name):
            self._disk.remove(self._name)

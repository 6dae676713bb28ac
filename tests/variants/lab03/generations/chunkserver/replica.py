"""One replica: a data file that only grows, until what it holds has to change. Then there is another one."""

from __future__ import annotations

import threading
from contextlib import closing, suppress
from enum import Enum
from typing import NoReturn

from chunkserver.blocks import Block, Contents, Damaged, SetVersion, first_mismatch, growth
from chunkserver.index import Index

from labkit.checksum import crc32c
from labkit.disk import Buffer, Disk
from labkit.errors import Corrupt, NoSuchChunk


class Health(Enum):
    INTACT = "as it should be"
    DAMAGED = "spoilt"
    REMOVED = "gone"


def data_name(handle: int, generation: int) -> str:
    return f"chunk{handle}-{generation}"


def staging_name(handle: int) -> str:
    return f"making{handle}"


class Replica:
    def __init__(self, disk: Disk, block_size: int, handle: int) -> None:
        self.handle = handle
        self.changed = threading.Condition(threading.RLock())
        self.health = Health.INTACT
        self.contents = Contents(block_size)
        self._disk, self._size = disk, block_size
        self._generation = 0
        self._index = Index(disk, handle, block_size)

    @property
    def version(self) -> int:
        return self.contents.version

    @property
    def length(self) -> int:
        return self.contents.length

    def create(self, version: int) -> None:
        with self.changed:
            self._disk.open(self._data(), create=True).close()
            self._commit(self.contents.after([SetVersion(version)]), 0)

    def adopt(self, contents: Contents) -> None:
        with self.changed:
            self._disk.replace(staging_name(self.handle), self._data())
            self._commit(contents, 0)

    def recover(self) -> bool:
        """False when it never was one."""
        with self.changed:
            try:
                found = self._index.read()
                if found is None:
                    return False
                self.contents, self._generation = found
                with closing(self._disk.open(self._data())) as file:
                    if file.size() < self.length:
                        raise Damaged("bytes are missing")
                self._index.write(self.contents, self._generation)
            except (Damaged, OSError):
                self.health = Health.DAMAGED
            return True

    def files(self) -> set[str]:
        return {self._data()}

    def remove(self) -> None:
        with self.changed:
            self.health = Health.REMOVED
            self._index.remove()
            if self._disk.exists(self._data()):
                self._disk.remove(self._data())
            self.changed.notify_all()

    def check(self) -> None:
        if self.health is Health.DAMAGED:
            raise Corrupt(f"{self.handle} is spoilt here")
        if self.health is Health.REMOVED:
            raise NoSuchChunk(f"{self.handle} is gone")

    def read(self, offset: int, length: int) -> tuple[int, int, Buffer]:
        self.check()
        with self.changed:
            self.check()
            contents = self.contents
            end = min(offset + length, contents.length)
            if offset >= end:
                return contents.version, contents.length, b""
            first, last = offset // self._size, (end - 1) // self._size
            data = self._verified(first, last + 1)
            start = offset - first * self._size
            return contents.version, contents.length, data[start : start + end - offset]

    def write(self, offset: int, data: Buffer) -> None:
        with self.changed:
            self.check()
            if offset < self.length:
                self._remake(self._verified(0, len(self.contents.blocks))[:offset] + bytes(data))
            else:
                self._grow(offset, data)

    def overwrite(self, offset: int, data: Buffer) -> None:
        with self.changed:
            self.check()
            if offset >= self.length:
                self._grow(offset, data)
                return
            whole = bytearray(self._verified(0, len(self.contents.blocks)))
            whole[offset : offset + len(data)] = data
            self._remake(bytes(whole))

    def pad(self, offset: int, end: int) -> None:
        with self.changed:
            self.check()
            if offset < self.length:
                self._remake(self._verified(0, len(self.contents.blocks))[:offset])
            self._grow(end, b"")

    def advance(self, version: int) -> None:
        with self.changed:
            self.check()
            self._commit(self.contents.after([SetVersion(version)]), self._generation)

    def _data(self) -> str:
        return data_name(self.handle, self._generation)

    def _verified(self, first: int, end: int) -> bytes:
        blocks = self.contents.blocks[first:end]
        if not blocks:
            return b""
        held = b""
        with suppress(FileNotFoundError), closing(self._disk.open(self._data())) as file:
            held = file.pread(first * self._size, (len(blocks) - 1) * self._size + blocks[-1].valid)
        if first_mismatch(blocks, self._size, held) is not None:
            self._condemn()
        return held

    def _grow(self, offset: int, data: Buffer) -> None:
        entries = growth(self.contents, offset, data)
        if not entries:
            return
        try:
            file = self._disk.open(self._data())
        except FileNotFoundError:
            self._condemn()
        with closing(file):
            if file.size() < self.length:
                self._condemn()
            file.truncate(self.length)  # what a growth that never counted has left
            if data:
                file.pwrite(offset, data)
            else:
                file.truncate(offset)
            file.sync()
        self._commit(self.contents.after(entries), self._generation)

    def _remake(self, whole: bytes) -> None:
        old, generation = self._data(), self._generation + 1
        name = data_name(self.handle, generation)
        with closing(self._disk.open(name, create=True)) as file:
            file.truncate(0)
            file.pwrite(0, whole)
            file.sync()
        pieces = [whole[at : at + self._size] for at in range(0, len(whole), self._size)]
        blocks = tuple(Block(len(piece), crc32c(piece)) for piece in pieces)
        self._commit(Contents(self._size, self.version, blocks), generation)
        with suppress(OSError):
            self._disk.remove(old)

    def _commit(self, contents: Contents, generation: int) -> None:
        try:
            self._index.write(contents, generation)
        except OSError:
            # The first file may say the new, and the second the old. Both are true, but one has to win before anybody
            # is told: the old, if it can be written once more.
            try:
                self._index.write(self.contents, self._generation)
            except OSError:
                self.health = Health.DAMAGED
            raise
        self.contents, self._generation = contents, generation
        self.changed.notify_all()

    def _condemn(self) -> NoReturn:
        self.health = Health.DAMAGED
        self.changed.notify_all()
        raise Corrupt(f"{self.handle}: what is on the disk is not what was written")

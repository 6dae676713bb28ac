"""What is known of a replica: version, generation of its data file, checksums; in two files, `chunk7.a` and `chunk7.b`.

Each has a number that grows, and a checksum. A change is written to the first, synced, then to the second; it is acknowledged
after that. So what was acknowledged is in both, and one flipped bit leaves the other. After a crash the higher number
of those that are whole counts, and is written to both before anything else.
"""

from __future__ import annotations

import struct
from contextlib import closing

from chunkserver.blocks import Block, Contents, Damaged

from labkit.checksum import crc32c
from labkit.disk import Disk

SIDES = (".a", ".b")
_CHECK = struct.Struct("<I")
_HEAD = struct.Struct("<QQQI")  # number, version, generation, blocks
_BLOCK = struct.Struct("<II")


class Index:
    def __init__(self, disk: Disk, handle: int, block_size: int) -> None:
        self._disk = disk
        self._names = [f"chunk{handle}{side}" for side in SIDES]
        self._block_size = block_size
        self._number = 0

    def write(self, contents: Contents, generation: int) -> None:
        number = self._number + 1
        body = _HEAD.pack(number, contents.version, generation, len(contents.blocks))
        body += b"".join(_BLOCK.pack(block.valid, block.crc) for block in contents.blocks)
        for name in self._names:
            with closing(self._disk.open(name, create=True)) as file:
                file.pwrite(0, _CHECK.pack(crc32c(body)) + body)
                file.sync()
        self._number = number

    def read(self) -> tuple[Contents, int] | None:
        """None when there never was a whole one, because a creation was cut off. Damaged."""
        there = [name for name in self._names if self._disk.exists(name)]
        found = [one for name in there if (one := self._read(name)) is not None]
        if not found:
            if len(there) == 2:
                raise Damaged("both index files are damaged")
            return None
        self._number, contents, generation = max(found, key=lambda one: one[0])
        return contents, generation

    def remove(self) -> None:
        for name in self._names:
            if self._disk.exists(name):
                self._disk.remove(name)

    def _read(self, name: str) -> tuple[int, Contents, int] | None:
        with closing(self._disk.open(name)) as file:
            raw = file.pread(0, file.size())
        if len(raw) < _CHECK.size + _HEAD.size:
            return None
        number, version, generation, count = _HEAD.unpack_from(raw, _CHECK.size)
        body = raw[_CHECK.size : _CHECK.size + _HEAD.size + count * _BLOCK.size]
        if _CHECK.unpack_from(raw)[0] != crc32c(body):
            return None
        blocks = tuple(Block(*pair) for pair in _BLOCK.iter_unpack(body[_HEAD.size :]))
        return number, Contents(self._block_size, version, blocks), generation

"""Writing over bytes that count, without a moment at which a crash could look like damage (GFS §3.1, §5.2).

A write in place destroys what it replaces, and a crash half-way leaves neither the old bytes nor the new ones. So
the blocks as they shall be are stored and synced first, in a file of their own, the redo file. Only then the log
gets their checksums, and only then the bytes themselves are written over. After a crash:

- the log does not have the checksums of the redo file's blocks: nothing was written over, and the file is dropped;
- the log has them: the blocks are copied from the redo file once more, which does no harm if they were there.

So the redo file needs no number and no checksum of its own: the log says whether it counts, and one that is torn,
damaged or left over from long ago either does not match the log or holds the very bytes that are there.
"""

from __future__ import annotations

import struct
from contextlib import closing
from dataclasses import dataclass

from chunkserver.blocks import Block, Contents, Entry, SetBlock
from labkit.checksum import crc32c
from labkit.disk import Buffer, Disk

REDO = ".redo"
_FIRST = struct.Struct(">I")


@dataclass(frozen=True)
class Patch:
    """Neighbouring blocks as they shall be: all their valid bytes, from the start of block `first` on."""

    first: int
    data: Buffer

    def entries(self, block_size: int) -> list[Entry]:
        """What the log has to say of these blocks."""
        # lab 3 part A: one SetBlock for each block, with its own checksum; the last may be shorter.
        view = memoryview(self.data)
        pieces = [view[at : at + block_size] for at in range(0, len(view), block_size)]
        return [
            SetBlock(index, Block(len(piece), crc32c(piece)))
            for index, piece in enumerate(pieces, self.first)
        ]

    def counts(self, contents: Contents) -> bool:
        """Whether `contents` have exactly these blocks."""
        # lab 3 part A: compare the entries with the blocks on record.
        blocks = dict(enumerate(contents.blocks))
        entries = self.entries(contents.block_size)
        return all(isinstance(one, SetBlock) and blocks.get(one.index) == one.block for one in entries)

    def apply_to(self, disk: Disk, name: str, block_size: int) -> None:
        """Write the blocks over those in the data file `name`; durable when it returns."""
        # lab 3 part A: pwrite, sync.
        with closing(disk.open(name)) as file:
            file.pwrite(self.first * block_size, self.data)
            file.sync()


class RedoFile:
    """`<handle>.redo`. Callers hold the replica's lock."""

    def __init__(self, disk: Disk, handle: int) -> None:
        self._disk = disk
        self._name = f"{handle}{REDO}"

    def store(self, patch: Patch) -> None:
        """Keep `patch`, in place of what was kept before; durable when it returns."""
        # lab 3 part A: its first block's index, then its bytes; sync.
        with closing(self._disk.open(self._name, create=True)) as file:
            file.truncate(0)
            file.pwrite(0, b"".join((_FIRST.pack(patch.first), patch.data)))
            file.sync()

    def load(self) -> Patch | None:
        """What is kept, if anything is: perhaps torn, perhaps of long ago; `Patch.counts` tells."""
        # lab 3 part A: too few bytes for an index are nothing.
        if not self._disk.exists(self._name):
            return None
        with closing(self._disk.open(self._name)) as file:
            raw = file.pread(0, file.size())
        if len(raw) <= _FIRST.size:
            return None
        return Patch(_FIRST.unpack_from(raw)[0], raw[_FIRST.size :])

    def drop(self) -> None:
        """Keep nothing."""
        # lab 3 part A: remove the file if it is there.
        if self._disk.exists(self._name):
            self._disk.remove(self._name)

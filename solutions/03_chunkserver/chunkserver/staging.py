"""A replica in the making: blocks collected in `<handle>.part` until they are all there (GFS §4.3).

It is no replica: not listed, not served, and gone after a restart. Which blocks are here already is not
remembered but looked up, by their checksums, in the bytes themselves; so it does not matter how often the making was
begun, or what the bytes were then.
"""

from __future__ import annotations

from contextlib import closing

from chunkserver.blocks import Block, Contents, first_mismatch
from chunkserver.replica import DATA, PART
from labkit.disk import Buffer, Disk


class Staging:
    """The making of one replica. Used by one thread at a time."""

    def __init__(self, disk: Disk, handle: int, block_size: int) -> None:
        self._disk = disk
        self._part = f"{handle}{PART}"
        self._data = f"{handle}{DATA}"
        self._block_size = block_size

    def missing(self, contents: Contents) -> list[int]:
        """The blocks of `contents` that are not here. One that an older replica holds is taken from it."""
        # lab 3 part E: look for each block, by its checksum, in the part file and then in the old data file.
        return [index for index, block in enumerate(contents.blocks) if not self._found(index, block)]

    def _found(self, index: int, block: Block) -> bool:
        # lab 3 part E
        for name in (self._part, self._data):
            if not self._disk.exists(name):
                continue
            with closing(self._disk.open(name)) as file:
                held = file.pread(index * self._block_size, block.valid)
            if first_mismatch((block,), self._block_size, held) is None:
                if name != self._part:
                    self.put(index, held)
                return True
        return False

    def put(self, index: int, data: Buffer) -> None:
        """Take `data`, verified by the caller, as the bytes from block `index` on; not durable yet."""
        # lab 3 part E: pwrite.
        with closing(self._disk.open(self._part, create=True)) as file:
            file.pwrite(index * self._block_size, data)

    def finish(self, contents: Contents) -> None:
        """All blocks are here: make them durable, and nothing else."""
        # lab 3 part E: truncate to the length, then sync.
        with closing(self._disk.open(self._part, create=True)) as file:
            file.truncate(contents.length)
            file.sync()

    def drop(self) -> None:
        """Forget all of it."""
        # lab 3 part E: remove the file if it is there.
        if self._disk.exists(self._part):
            self._disk.remove(self._part)

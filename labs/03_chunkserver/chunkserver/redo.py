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
from dataclasses import dataclass

from chunkserver.blocks import Contents, Entry
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
        raise NotImplementedError(
            "lab 3 part A: one SetBlock for each block, with its own checksum; the last may be shorter."
        )

    def counts(self, contents: Contents) -> bool:
        """Whether `contents` have exactly these blocks."""
        raise NotImplementedError("lab 3 part A: compare the entries with the blocks on record.")

    def apply_to(self, disk: Disk, name: str, block_size: int) -> None:
        """Write the blocks over those in the data file `name`; durable when it returns."""
        raise NotImplementedError("lab 3 part A: pwrite, sync.")


class RedoFile:
    """`<handle>.redo`. Callers hold the replica's lock."""

    def __init__(self, disk: Disk, handle: int) -> None:
        self._disk = disk
        self._name = f"{handle}{REDO}"

    def store(self, patch: Patch) -> None:
        """Keep `patch`, in place of what was kept before; durable when it returns."""
        raise NotImplementedError("lab 3 part A: its first block's index, then its bytes; sync.")

    def load(self) -> Patch | None:
        """What is kept, if anything is: perhaps torn, perhaps of long ago; `Patch.counts` tells."""
        raise NotImplementedError("lab 3 part A: too few bytes for an index are nothing.")

    def drop(self) -> None:
        """Keep nothing."""
        raise NotImplementedError("lab 3 part A: remove the file if it is there.")

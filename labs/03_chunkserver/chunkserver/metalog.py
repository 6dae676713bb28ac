"""The metadata log of a replica: what its checksums and version are, in a file that is only appended to.

A *batch* is the list of entries that one mutation makes (blocks.py); it counts whole or not at all. The
file is a row of slots of equal size, each with its own CRC32C, the number of its batch, its position in the
batch and how many entries the batch has. Every batch is written twice in one append.

Why twice: after a crash the last batch may be torn, and that is no harm, for nothing was acknowledged on
it. A flipped bit in the last batch looks the same, but forgetting that batch would forget acknowledged
bytes, and the replica would look like a healthy shorter one. With two copies a flipped bit leaves a whole
copy behind, so that a last batch without one was torn. (§5.2 keeps checksums apart from user data and logs
them; the layout is ours.)
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from chunkserver.blocks import Contents, Entry

# crc of the rest, batch, position in the batch, entries in the batch, kind of entry, three numbers of it
SLOT = struct.Struct(">IIIIIQII")
_CRC = struct.Struct(">I")
COPIES = 2


class Kind(IntEnum):
    """What the three numbers of a slot mean: (version), (index, valid, crc) or (blocks)."""

    VERSION = 1
    BLOCK = 2
    CUT = 3


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a log says: the contents, the number of the next batch, and whether the file is flawless.

    A file that is not (torn end, one copy unreadable) must be replaced before anything is appended to it.
    """

    contents: Contents
    batches: int
    slots: int
    flawless: bool


def encode(batch: int, entries: list[Entry]) -> bytes:
    """The slots of batch number `batch`, all its copies."""
    raise NotImplementedError(
        "lab 3 part A: one SLOT per entry, its crc over the rest of the slot; then the whole row again."
    )


def replay(raw: bytes, block_size: int) -> Replayed:
    """What the log `raw` says.

    Slots with a wrong checksum are passed over; one copy of each entry is enough. The last batch is ignored
    when it is not whole: a crash has torn it. Damaged when any other batch is missing or not whole, when no
    batch is left, or when the entries contradict each other.
    """
    raise NotImplementedError(
        "lab 3 part A: collect good slots by batch; batches must be 0, 1, 2, ... and whole, but the "
        "last may be torn."
    )

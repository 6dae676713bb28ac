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
from dataclasses import dataclass, field
from enum import IntEnum

from chunkserver.blocks import Block, Contents, Cut, Damaged, Entry, SetBlock, SetVersion
from labkit.checksum import crc32c

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
    # lab 3 part A: one SLOT per entry, its crc over the rest of the slot; then the whole row again.
    row = b"".join(_slot(batch, position, len(entries), entry) for position, entry in enumerate(entries))
    return row * COPIES


def replay(raw: bytes, block_size: int) -> Replayed:
    """What the log `raw` says.

    Slots with a wrong checksum are passed over; one copy of each entry is enough. The last batch is ignored
    when it is not whole: a crash has torn it. Damaged when any other batch is missing or not whole, when no
    batch is left, or when the entries contradict each other.
    """
    # lab 3 part A: collect good slots by batch; batches must be 0, 1, 2, ... and whole, but the last may be torn.
    batches, good = _collect(raw)
    if batches and not batches[max(batches)].whole:
        del batches[max(batches)]
    if not batches:
        raise Damaged("no whole batch in the metadata log")
    contents, slots = Contents(block_size), 0
    for number in range(max(batches) + 1):
        batch = batches.get(number)
        if batch is None or not batch.whole:
            raise Damaged(f"batch {number} of the metadata log is unreadable, later ones are not")
        contents = contents.after([batch.entries[position] for position in range(batch.count)])
        slots += batch.count * COPIES
    flawless = good == slots and slots * SLOT.size == len(raw)
    return Replayed(contents, max(batches) + 1, slots, flawless)


@dataclass(slots=True)
class _Batch:
    # lab 3 part A
    count: int
    entries: dict[int, Entry] = field(default_factory=dict[int, Entry])

    @property
    def whole(self) -> bool:
        return all(position in self.entries for position in range(self.count))


def _collect(raw: bytes) -> tuple[dict[int, _Batch], int]:
    # lab 3 part A
    batches: dict[int, _Batch] = {}
    good = 0
    for at in range(0, len(raw) - SLOT.size + 1, SLOT.size):
        crc, number, position, count, kind, a, b, c = SLOT.unpack_from(raw, at)
        if crc32c(raw[at + _CRC.size : at + SLOT.size]) == crc:
            good += 1
            batches.setdefault(number, _Batch(count)).entries[position] = _entry(kind, a, b, c)
    return batches, good


def _slot(batch: int, position: int, count: int, entry: Entry) -> bytes:
    # lab 3 part A
    match entry:
        case SetVersion(version):
            numbers = (Kind.VERSION, version, 0, 0)
        case SetBlock(index, Block(valid, crc)):
            numbers = (Kind.BLOCK, index, valid, crc)
        case Cut(blocks):
            numbers = (Kind.CUT, blocks, 0, 0)
    rest = SLOT.pack(0, batch, position, count, *numbers)[_CRC.size :]
    return _CRC.pack(crc32c(rest)) + rest


def _entry(kind: int, a: int, b: int, c: int) -> Entry:
    # lab 3 part A
    match kind:
        case Kind.VERSION:
            return SetVersion(a)
        case Kind.BLOCK:
            return SetBlock(a, Block(b, c))
        case Kind.CUT:
            return Cut(a)
        case _:
            raise Damaged(f"the metadata log has an entry of unknown kind {kind}")

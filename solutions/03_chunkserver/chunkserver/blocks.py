"""What a replica holds, as checksums: one CRC32C for each block of the chunk (GFS §5.2).

`Contents` is a value: the version and, for each block in order, how many of its bytes are valid and their
checksum. A mutation is a list of entries; `Contents.after` is what they make of it. The same entries go to
the metadata log (metalog.py), so that memory and disk follow one set of rules.

Invariant: every block but the last is full, so the replica's length follows from the number of blocks and
the last one's valid bytes. Bytes of the data file beyond that length mean nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from labkit.checksum import crc32c
from labkit.disk import Buffer


class Damaged(Exception):
    """What is on the disk cannot be what was written there."""


@dataclass(frozen=True, slots=True)
class Block:
    """The first `valid` bytes of one block (1 to the block size) and their CRC32C."""

    valid: int
    crc: int


@dataclass(frozen=True, slots=True)
class SetVersion:
    """The replica's version is now `version`."""

    version: int


@dataclass(frozen=True, slots=True)
class SetBlock:
    """Block `index` now holds `block`. Either a known block, or the one right behind the last."""

    index: int
    block: Block


@dataclass(frozen=True, slots=True)
class Cut:
    """Only the first `blocks` blocks still count."""

    blocks: int


Entry = SetVersion | SetBlock | Cut


@dataclass(frozen=True, slots=True)
class Contents:
    """A replica's version and the checksums of its blocks."""

    block_size: int
    version: int = 0
    blocks: tuple[Block, ...] = ()

    @property
    def length(self) -> int:
        """Bytes in the replica."""
        if not self.blocks:
            return 0
        return (len(self.blocks) - 1) * self.block_size + self.blocks[-1].valid

    def after(self, entries: list[Entry]) -> Contents:
        """These contents once `entries` have been done, in order.

        Damaged when the result would break the invariant: a block is left out, one before the last is not
        full, or more bytes are valid than a block has.
        """
        # lab 3 part A: walk over the entries with a mutable copy of `blocks`, checking each block that is set.
        version, blocks = self.version, list(self.blocks)
        for entry in entries:
            match entry:
                case SetVersion():
                    version = entry.version
                case Cut():
                    del blocks[entry.blocks :]
                case SetBlock(index, block):
                    if index > len(blocks):
                        raise Damaged(f"block {index} is on record, but block {len(blocks)} is not")
                    blocks[index : index + 1] = [block]
                    self._check_neighbours(blocks, index)
        return Contents(self.block_size, version, tuple(blocks))

    def _check_neighbours(self, blocks: list[Block], index: int) -> None:
        # lab 3 part A
        if not 0 < blocks[index].valid <= self.block_size:
            raise Damaged(f"{blocks[index].valid} valid bytes in a block of {self.block_size}")
        for before in (index - 1, index):
            if 0 <= before < len(blocks) - 1 and blocks[before].valid != self.block_size:
                raise Damaged(f"block {before} is not full, and not the last")

    def entries(self) -> list[Entry]:
        """The entries that make these contents out of nothing."""
        # lab 3 part A: one SetVersion, then a SetBlock for each block.
        made: list[Entry] = [SetVersion(self.version)]
        made.extend(SetBlock(index, block) for index, block in enumerate(self.blocks))
        return made


def growth(contents: Contents, offset: int, data: Buffer) -> list[Entry]:
    """The entries for writing `data` at `offset`, which is at or behind the end; a gap is zeros.

    The checksum of a partly filled last block is continued from the one on record, not computed again from
    the disk: if those bytes were damaged meanwhile, the next read still finds out (§5.2).
    """
    # lab 3 part A: step from block border to block border; crc32c(more, start) continues a checksum.
    size, view, end = contents.block_size, memoryview(data), offset + len(data)
    entries: list[Entry] = []
    at = contents.length
    while at < end:
        index, valid = divmod(at, size)
        crc = contents.blocks[index].crc if valid else 0
        stop = min(end, (index + 1) * size)
        if at < offset:
            crc = crc32c(bytes(min(stop, offset) - at), crc)
        crc = crc32c(view[max(0, at - offset) : max(0, stop - offset)], crc)
        entries.append(SetBlock(index, Block(stop - index * size, crc)))
        at = stop
    return entries


def cut(block_size: int, offset: int, kept: Buffer) -> list[Entry]:
    """The entries for shortening a replica to `offset` bytes.

    `kept` holds the bytes of the block that `offset` falls into, from the block's start up to `offset`;
    it is empty when `offset` is a block border.
    """
    # lab 3 part A: Cut to the whole blocks before `offset`, then SetBlock for what is kept of the next one.
    index, valid = divmod(offset, block_size)
    entries: list[Entry] = [Cut(index)]
    if valid:
        entries.append(SetBlock(index, Block(valid, crc32c(kept))))
    return entries


def first_mismatch(blocks: tuple[Block, ...], block_size: int, data: Buffer) -> int | None:
    """The position in `blocks` of the first one whose checksum `data` does not match; None when all do.

    `data` are the bytes of these neighbouring blocks, starting at the first one's first byte.
    """
    # lab 3 part A: compare crc32c of each block's valid bytes; too few bytes are a mismatch as well.
    view = memoryview(data)
    for position, block in enumerate(blocks):
        held = view[position * block_size : position * block_size + block.valid]
        if len(held) < block.valid or crc32c(held) != block.crc:
            return position
    return None

"""The metadata log of one replica as a file: `<handle>.meta` (its layout is in metalog.py).

Invariant: what `append` and `replace` returned for is durable, and a batch counts whole or not at all. When an
append failed, nobody can say what the file holds: the next `tidy` replaces it, atomically and from memory.
Callers hold the replica's lock, and `tidy` before they touch any data.
"""

from __future__ import annotations

from contextlib import closing

from chunkserver.blocks import Contents, Entry
from chunkserver.metalog import COPIES, encode, replay
from labkit.disk import Disk

META, NEW = ".meta", ".new"
# The log is replaced by a short one when it has this many slots more than a multiple of what is needed.
SPARE_SLOTS = 4096
SLACK = 4


class MetadataLog:
    """Call `recover` or `replace` once before anything else."""

    def __init__(self, disk: Disk, handle: int) -> None:
        self._disk = disk
        self._name = f"{handle}{META}"
        self._new = f"{handle}{NEW}"
        self._batches = 0
        self._slots = 0
        self._appendable = False

    def recover(self, block_size: int) -> Contents:
        """What the file says. Damaged or OSError when that cannot be known."""
        # lab 3 part A: read all of it and replay it; what is not flawless is not to be appended to.
        with closing(self._disk.open(self._name)) as file:
            log = replay(file.pread(0, file.size()), block_size)
        self._batches, self._slots, self._appendable = log.batches, log.slots, log.flawless
        return log.contents

    def append(self, entries: list[Entry]) -> None:
        """Add one batch; durable when it returns."""
        # lab 3 part A: append and sync; until the sync has returned nobody can say what the file holds.
        self._appendable = False
        with closing(self._disk.open(self._name)) as file:
            file.append(encode(self._batches, entries))
            file.sync()
        self._appendable = True
        self._batches += 1
        self._slots += len(entries) * COPIES

    def tidy(self, contents: Contents) -> None:
        """Replace a file that has flaws, or has grown much longer than `contents` need."""
        # lab 3 part A: compare the slots there are with those needed.
        needed = (len(contents.blocks) + 1) * COPIES
        if not self._appendable or self._slots > SLACK * needed + SPARE_SLOTS:
            self.replace(contents)

    def replace(self, contents: Contents) -> None:
        """Make a new file that says `contents`; durable when it returns, and until then the old one counts."""
        # lab 3 part A: write and sync it under another name, then rename it.
        entries = contents.entries()
        self._appendable = False
        with closing(self._disk.open(self._new, create=True)) as file:
            file.truncate(0)
            file.pwrite(0, encode(0, entries))
            file.sync()
        self._disk.replace(self._new, self._name)
        self._appendable = True
        self._batches = 1
        self._slots = len(entries) * COPIES

"""One replica on this server's disk: `<handle>.data`, and `<handle>.meta` with its metadata log (GFS §5.2).

A write puts the data into the data file, syncs it, appends one batch to the log, syncs that, and only then
returns. From this follows the *truth of the log*: at every moment, every byte that the log on the disk calls
valid is on the disk as well, with the checksum the log gives: in the data file, or in the redo file (redo.py),
from which recovery copies it there before anything is read. Why no disk operation can break it:

- Data is synced before the log mentions it, so a crash earlier leaves bytes behind the end: they mean nothing.
- A byte that the log calls valid is written over in `overwrite` only, and by then the log has the checksum of the
  new byte, which is in the redo file, synced before. The file goes when the new bytes are synced in place.
- A write that starts below the end, where an append of an earlier version failed, first *cuts*: the shorter
  length is durable in the log before the old bytes go.
- A batch counts whole or not at all, and both the state before it and the state after it are true.
- When an append to the log failed, what the file says is unknown: it is replaced, atomically and from
  memory, before any data or the redo file is touched.

So no crash costs an acknowledged byte: it is valid in the log when the answer goes out, and a cut takes
only bytes from the mutation's offset on, which the primary, holding all acknowledged bytes, has chosen at
or behind the last of them. And since crashes never cause a mismatch, a mismatch is always damage.

Creation makes the data file first and removal takes it last: a data file alone was never, or is no
longer, a replica. All mutations hold `changed`; readers do not wait for them.
"""

from __future__ import annotations

import threading
from enum import Enum

from chunkserver.blocks import Contents
from chunkserver.log import MetadataLog
from chunkserver.redo import RedoFile
from labkit.disk import Buffer, Disk

DATA = ".data"
# A replica in the making (staging.py), before it is one.
PART = ".part"


class Health(Enum):
    INTACT = "intact"
    DAMAGED = "damaged"
    REMOVED = "removed"


class Replica:
    """The replica of chunk `handle`. After the constructor, call `create`, `adopt` or `recover` once.

    `changed` is the lock of all mutations and is notified after each of them. Everything may be called from
    several threads.
    """

    def __init__(self, disk: Disk, block_size: int, handle: int) -> None:
        self.handle = handle
        self.changed = threading.Condition(threading.RLock())
        self.health = Health.INTACT
        self._disk = disk
        self._contents = Contents(block_size)
        self._log = MetadataLog(disk, handle)
        self._redo = RedoFile(disk, handle)

    @property
    def contents(self) -> Contents:
        """Version and checksums as they are now."""
        return self._contents

    @property
    def version(self) -> int:
        return self._contents.version

    @property
    def length(self) -> int:
        return self._contents.length

    # ---- life

    def create(self, version: int) -> None:
        """Make an empty replica at `version`; durable when it returns."""
        raise NotImplementedError(
            "lab 3 part A: the data file first, then the whole log under another name, synced and renamed."
        )

    def adopt(self, contents: Contents) -> None:
        """Make the synced bytes in `<handle>.part` the replica, with these contents; durable when it returns."""
        raise NotImplementedError(
            "lab 3 part E: rename the file to be the data, then replace the log: the log makes it a replica."
        )

    def recover(self) -> None:
        """Take up what the disk holds after a restart.

        The replica is damaged from the start when its log cannot be read or replayed, or its data file is
        missing or shorter than the log says. An overwrite that a crash interrupted is finished. A log that is
        not flawless is replaced. The data itself is not read: any mismatch is found when the block is read.
        """
        raise NotImplementedError(
            "lab 3 part A: replay the log, look at the size of the data file, redo what counts, tidy a "
            "log with flaws."
        )

    def remove(self) -> None:
        """Delete the files. Whoever still waits to use this replica gets NoSuchChunk."""
        raise NotImplementedError(
            "lab 3 part A: the log goes first, so that a crash in between leaves nothing that looks "
            "like a replica."
        )

    # ---- reading

    def read(self, offset: int, length: int) -> tuple[int, int, Buffer]:
        """(version, length of the replica, up to `length` bytes at `offset`): fewer only at the end.

        Every block that is touched is verified first. Corrupt when one does not match, now and for good.
        """
        raise NotImplementedError(
            "lab 3 part A: verify without the lock; a mismatch may be a write in progress, so look "
            "again with it."
        )

    # ---- mutations

    def write(self, offset: int, data: Buffer) -> None:
        """Make `data` the bytes from `offset` on, and the end of the replica; durable when it returns.

        A gap between the old end and `offset` is filled with zeros. What lay behind `offset` is gone: it
        was the rest of an append that failed.
        """
        raise NotImplementedError(
            "lab 3 part A: cut when offset is below the end; then data, sync, log, sync, in this order."
        )

    def overwrite(self, offset: int, data: Buffer) -> None:
        """Make `data` the bytes from `offset` on; what lies behind them stays. Durable when it returns.

        A gap between the old end and `offset` is filled with zeros. After a crash that part of `data` which
        lay over old bytes is there whole or not at all, and so is the part that came behind them.
        """
        raise NotImplementedError(
            "lab 3 part A: `write` what comes behind the end; the rest as a Patch: redo file, log, "
            "data, in this order."
        )

    def pad(self, offset: int, end: int) -> None:
        """Like `write` of zeros from `offset` up to `end`."""
        raise NotImplementedError(
            "lab 3 part A: cut if there is something to cut; then an empty write at `end` fills the gap."
        )

    def advance(self, version: int) -> None:
        """Record that the version is now `version`; durable when it returns."""
        raise NotImplementedError("lab 3 part A: one SetVersion entry.")

    def check(self) -> None:
        """Corrupt or NoSuchChunk when this replica is not to be used any more."""
        raise NotImplementedError("lab 3 part A: look at `health`.")

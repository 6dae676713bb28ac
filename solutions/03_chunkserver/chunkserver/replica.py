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

import errno
import threading
from contextlib import closing, suppress
from enum import Enum
from typing import NoReturn

from chunkserver.blocks import Contents, Damaged, Entry, SetVersion, cut, first_mismatch, growth
from chunkserver.log import META, MetadataLog
from chunkserver.redo import REDO, Patch, RedoFile
from labkit.disk import Buffer, Disk, File
from labkit.errors import Corrupt, NoSuchChunk

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
        # lab 3 part A: the data file first, then the whole log under another name, synced and renamed.
        self._disk.open(self._name(DATA), create=True).close()
        self._contents = self._contents.after([SetVersion(version)])
        self._log.replace(self._contents)

    def adopt(self, contents: Contents) -> None:
        """Make the synced bytes in `<handle>.part` the replica, with these contents; durable when it returns."""
        # lab 3 part E: rename the file to be the data, then replace the log: the log makes it a replica.
        self._disk.replace(self._name(PART), self._name(DATA))
        self._contents = contents
        self._log.replace(contents)

    def recover(self) -> None:
        """Take up what the disk holds after a restart.

        The replica is damaged from the start when its log cannot be read or replayed, or its data file is
        missing or shorter than the log says. An overwrite that a crash interrupted is finished. A log that is
        not flawless is replaced. The data itself is not read: any mismatch is found when the block is read.
        """
        # lab 3 part A: replay the log, look at the size of the data file, redo what counts, tidy a log with flaws.
        with self.changed:
            try:
                self._contents = self._log.recover(self._contents.block_size)
                self._open_data().close()
                patch = self._redo.load()
                if patch is not None and patch.counts(self._contents):
                    patch.apply_to(self._disk, self._name(DATA), self._contents.block_size)
            except (Damaged, Corrupt, OSError):
                self.health = Health.DAMAGED
                return
            # A full disk is no reason not to serve: the first mutation tries to replace the log again.
            with suppress(OSError):
                self._redo.drop()
                self._log.tidy(self._contents)

    def remove(self) -> None:
        """Delete the files. Whoever still waits to use this replica gets NoSuchChunk."""
        # lab 3 part A: the log goes first, so that a crash in between leaves nothing that looks like a replica.
        with self.changed:
            self.health = Health.REMOVED
            for suffix in (META, REDO, DATA):
                if self._disk.exists(self._name(suffix)):
                    self._disk.remove(self._name(suffix))
            self.changed.notify_all()

    # ---- reading

    def read(self, offset: int, length: int) -> tuple[int, int, Buffer]:
        """(version, length of the replica, up to `length` bytes at `offset`): fewer only at the end.

        Every block that is touched is verified first. Corrupt when one does not match, now and for good.
        """
        # lab 3 part A: verify without the lock; a mismatch may be a write in progress, so look again with it.
        self.check()
        contents = self._contents
        data = self._verified(contents, offset, length)
        if data is None:
            with self.changed:
                self.check()
                contents = self._contents
                data = self._verified(contents, offset, length)
                if data is None:
                    self._condemn()
        return contents.version, contents.length, data

    def _verified(self, contents: Contents, offset: int, length: int) -> Buffer | None:
        # lab 3 part A
        end = min(offset + length, contents.length)
        if offset >= end:
            return b""
        size = contents.block_size
        first, last = offset // size, (end - 1) // size
        blocks = contents.blocks[first : last + 1]
        start = first * size
        try:
            with closing(self._disk.open(self._name(DATA))) as file:
                held = file.pread(start, (len(blocks) - 1) * size + blocks[-1].valid)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EIO):
                return None
            raise
        if first_mismatch(blocks, size, held) is not None:
            return None
        return memoryview(held)[offset - start : end - start]

    # ---- mutations

    def write(self, offset: int, data: Buffer) -> None:
        """Make `data` the bytes from `offset` on, and the end of the replica; durable when it returns.

        A gap between the old end and `offset` is filled with zeros. What lay behind `offset` is gone: it
        was the rest of an append that failed.
        """
        # lab 3 part A: cut when offset is below the end; then data, sync, log, sync, in this order.
        with self.changed:
            self.check()
            self._log.tidy(self._contents)
            if offset < self.length:
                self._cut(offset)
            entries = growth(self._contents, offset, data)
            if entries:
                self._put(offset, data)
                self._commit(entries)

    def overwrite(self, offset: int, data: Buffer) -> None:
        """Make `data` the bytes from `offset` on; what lies behind them stays. Durable when it returns.

        A gap between the old end and `offset` is filled with zeros. After a crash that part of `data` which
        lay over old bytes is there whole or not at all, and so is the part that came behind them.
        """
        # lab 3 part A: `write` what comes behind the end; the rest as a Patch: redo file, log, data, in this order.
        with self.changed:
            self.check()
            view = memoryview(data)
            inside = max(0, min(len(view), self.length - offset))
            if inside < len(view) or offset > self.length:
                self.write(max(offset, self.length), view[inside:])
            if inside:
                self._write_over(offset, view[:inside])

    def pad(self, offset: int, end: int) -> None:
        """Like `write` of zeros from `offset` up to `end`."""
        # lab 3 part A: cut if there is something to cut; then an empty write at `end` fills the gap.
        with self.changed:
            self.write(min(offset, self.length), b"")
            self.write(end, b"")

    def advance(self, version: int) -> None:
        """Record that the version is now `version`; durable when it returns."""
        # lab 3 part A: one SetVersion entry.
        with self.changed:
            self.check()
            self._log.tidy(self._contents)
            self._commit([SetVersion(version)])

    def check(self) -> None:
        """Corrupt or NoSuchChunk when this replica is not to be used any more."""
        # lab 3 part A: look at `health`.
        if self.health is Health.DAMAGED:
            raise Corrupt(f"chunk {self.handle}: this replica is damaged")
        if self.health is Health.REMOVED:
            raise NoSuchChunk(f"chunk {self.handle} was deleted here")

    def _cut(self, offset: int) -> None:
        # lab 3 part A
        # The checksum of the shortened block is computed from the disk, so the block must be verified first.
        size = self._contents.block_size
        start = offset - offset % size
        kept = self._verified(self._contents, start, size) if offset > start else b""
        if kept is None:
            self._condemn()
        self._commit(cut(size, offset, kept[: offset - start]))

    def _write_over(self, offset: int, data: Buffer) -> None:
        # lab 3 part A
        self._log.tidy(self._contents)
        patch = self._patch(offset, data)
        self._redo.store(patch)
        self._commit(patch.entries(self._contents.block_size))
        try:
            patch.apply_to(self._disk, self._name(DATA), self._contents.block_size)
        except OSError:
            self._condemn()  # the log is ahead of the data now; a restart may find the disk well again
        with suppress(OSError):  # it does no harm
            self._redo.drop()

    def _patch(self, offset: int, data: Buffer) -> Patch:
        # lab 3 part A
        # What is kept of the first and the last block gets a new checksum, so it must be verified first (§5.2):
        # otherwise damage in it would from now on look right.
        size, end = self._contents.block_size, offset + len(data)
        start = offset - offset % size
        stop = min(end + -end % size, self.length)
        before = self._verified(self._contents, start, offset - start)
        behind = self._verified(self._contents, end, stop - end)
        if before is None or behind is None:
            self._condemn()
        return Patch(start // size, b"".join((before, data, behind)))

    def _put(self, offset: int, data: Buffer) -> None:
        # lab 3 part A
        with closing(self._open_data()) as file:
            # Remains of a write that never counted must not shine through the gap, which is to be zeros.
            if offset > self.length and file.size() > self.length:
                file.truncate(self.length)
            if data:
                file.pwrite(offset, data)
            else:
                file.truncate(offset)
            file.sync()

    def _open_data(self) -> File:
        # lab 3 part A
        try:
            file = self._disk.open(self._name(DATA))
        except FileNotFoundError:
            self._condemn()
        if file.size() < self.length:
            file.close()
            self._condemn()
        return file

    def _condemn(self) -> NoReturn:
        # lab 3 part A
        self.health = Health.DAMAGED
        self.changed.notify_all()
        raise Corrupt(f"chunk {self.handle}: a block does not match its checksum")

    def _commit(self, entries: list[Entry]) -> None:
        # lab 3 part A
        contents = self._contents.after(entries)
        self._log.append(entries)
        self._contents = contents
        self.changed.notify_all()

    def _name(self, suffix: str) -> str:
        # lab 3 part A
        return f"{self.handle}{suffix}"

"""The operation log: an operation is on disk before anyone hears of it (GFS §2.6.3).

One append-only file of records, each `u32 length | u32 crc32c of the body | body` (big-endian, the body
msgpack). A crash may leave the last records whole, in part, or not at all; recovery keeps all whole ones up to the
first that is not, and cuts off the rest. Cutting is right because nobody was told of what was not synced.

Appending and syncing are apart. Appends happen in the order in which operations are applied, quickly,
under the master's lock; then, outside of it, everyone waits for the log to be durable up to where it was.
One waiter syncs for all that came before, so that many operations share one sync (group commit).
"""

from __future__ import annotations

import struct
import threading
from typing import Any

from labkit.disk import Disk, File
from labkit.errors import LabError

_HEAD = struct.Struct(">II")
FILE_NAME = "oplog"


class LogBroken(LabError):
    """The log can neither be trusted nor continued. The master must not go on; a restart replays it."""


def encode(record: Any) -> bytes:
    """One record as bytes of the log."""
    raise NotImplementedError("lab 2 part A: the checksum covers the body")


def scan(data: bytes) -> tuple[list[Any], int]:
    """The whole records `data` begins with, and how many bytes they take.

    The first record that is cut off, fails its checksum, or is empty ends them: no record has an empty
    body, while a tail of zeros would read as any number of those. A body that passes its checksum and is
    no msgpack was written by something else: LogBroken.
    """
    raise NotImplementedError(
        "lab 2 part D: stop at the first record you cannot vouch for, and say where it began"
    )


class OpLog:
    """The log's file. `append` in one thread at a time; `wait_durable` in any number."""

    def __init__(self, disk: Disk) -> None:
        self._file: File = disk.open(FILE_NAME, create=True)
        self._changed = threading.Condition()
        self._end = 0
        self._synced = 0
        self._syncing = False
        self._broken: OSError | None = None
        self.is_new = self._file.size() == 0

    @property
    def end(self) -> int:
        """Where the next record will go, in bytes: what to wait for after appending."""
        return self._end

    def recover(self) -> list[Any]:
        """All records, oldest first. Cuts off a torn tail, durably, before anything is appended behind it."""
        raise NotImplementedError("lab 2 part D: what follows a torn record could never be read again")

    def durable(self, position: int, length: int) -> bytes:
        """Up to `length` bytes of the log from `position` on, as far as it is synced: what shadows may see."""
        raise NotImplementedError("lab 2 part F: never a byte behind the last sync")

    def append(self, record: Any) -> None:
        """Add a record. Not durable before `wait_durable(end)`. When the disk refuses it (OSError) the log
        is as before; when even that cannot be had, LogBroken from now on."""
        raise NotImplementedError("lab 2 part A: half a record must not stay in the way of the next")

    def wait_durable(self, position: int) -> None:
        """Return when the log is durable up to `position`, a former `end`. LogBroken when a sync failed: what
        is on disk is unknown then, and trying again could report success for bytes that were dropped."""
        raise NotImplementedError(
            "lab 2 part A: one sync for each call is right, if slow; faster: one thread syncs for all "
            "that wait, and what is appended meanwhile needs the next sync"
        )

    def close(self) -> None:
        self._file.close()

"""A file of records that survives any crash, or rather: whose complete records do.

A record is `u32 length | u32 crc32c of length and body | body`, the body one msgpack value. Invariant: when
`append` has returned, the record is durable, and so are all before it. A crash during an append leaves part of
a record, or any mixture of old and new bytes, at the end and nowhere else; the checksum finds out where the
good records stop, and `open` cuts the rest off: appended behind rubbish, later records could never be read again.
Source: the log of Saltzer and Kaashoek §9.3; GFS §2.6.3 has the same rule for the master's.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from labkit import codec
from labkit.checksum import crc32c
from labkit.disk import Disk, File

LENGTH = struct.Struct(">I")
CHECK = struct.Struct(">I")
PREFIX = LENGTH.size + CHECK.size


def encode_record(value: Any) -> bytes:
    """`value` as the bytes of one record."""
    # lab 1 part E: pack the body with labkit.codec; the checksum covers the length too
    body = codec.pack(value)
    length = LENGTH.pack(len(body))
    return length + CHECK.pack(crc32c(length + body)) + body


def decode_records(data: bytes) -> Iterator[tuple[Any, int]]:
    """(value, offset of its end) of each record from the start of `data`, up to the first that is not whole.

    Not whole: cut off, or not what its checksum says. An empty body is not whole either: no msgpack value is
    empty.
    """
    # lab 1 part E: stop, rather than raise, at whatever a crash may have left
    start = 0
    while start + PREFIX <= len(data):
        (length,) = LENGTH.unpack_from(data, start)
        (check,) = CHECK.unpack_from(data, start + LENGTH.size)
        end = start + PREFIX + length
        body = data[start + PREFIX : end]
        if not 0 < length == len(body) or crc32c(data[start : start + LENGTH.size] + body) != check:
            return
        yield codec.unpack(body), end
        start = end


class Journal:
    """One file of a disk. Not thread-safe: its owner holds a lock."""

    def __init__(self, disk: Disk, name: str) -> None:
        """Open or create the file; its whole records are in `recovered`, oldest first."""
        # lab 1 part E: read all, remember the values, truncate what follows the last whole record, and sync
        self._file: File = disk.open(name, create=True)
        self._broken: OSError | None = None
        data = self._file.pread(0, self._file.size())
        self.recovered: list[Any] = []
        good = 0
        for value, end in decode_records(data):
            self.recovered.append(value)
            good = end
        if good < len(data):
            self._file.truncate(good)
        if data:
            # Even when nothing was cut off: the last life may have died between writing a record and syncing it,
            # and then what we read, and are about to answer from, is only in the system's memory.
            self._file.sync()

    def append(self, value: Any) -> None:
        """Returns when the record is durable.

        After an OSError, this one or an earlier, nobody knows what the disk holds behind the last good record;
        every later append fails too, until a new Journal has looked.
        """
        # lab 1 part E: append, then sync; remember that it failed
        if self._broken is not None:
            raise OSError(f"an earlier append failed: {self._broken}")
        try:
            self._file.append(encode_record(value))
            self._file.sync()
        except OSError as error:
            self._broken = error
            raise

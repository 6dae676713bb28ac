"""Records the harness writes and recognises: bodies that say whose they are in every few bytes.

So any stretch of a replica can be told for what it is, whatever wrote it: a whole record, a part of one, padding,
or bytes nobody appended.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

from harness.history import DataId, Kind, RecordId, Segment
from labkit.checksum import crc32c
from labkit.protocol import RECORD, RECORD_MAGIC

_CHECKED = 12  # the checksum covers the frame from here on
_MARK = re.compile(rb"<(\d+)-(\d+):\d+>")
CELL = 16
_CELLS = re.compile(rb"(\{(\d{6})-(\d{6})\}\n)\1*")
_ZEROS = re.compile(rb"\x00+")
_INTEREST = re.compile(re.escape(RECORD_MAGIC) + rb"|\x00{16}|\{\d{6}-\d{6}\}\n")


def record_id(writer: int, sequence: int) -> RecordId:
    return RecordId(f"{writer}-{sequence}")


def body(writer: int, sequence: int, size: int) -> bytes:
    """`size` bytes that carry the record's identity every few bytes."""
    made = bytearray()
    number = 0
    while len(made) < size:
        made += b"<%d-%d:%d>" % (writer, sequence, number)
        number += 1
    return bytes(made[:size])


def frame(writer: int, sequence: int, content: bytes) -> bytes:
    """The record as docs/protocol.md lays it out."""
    head = RECORD.pack(RECORD_MAGIC, len(content), 0, writer, sequence)
    checksum = crc32c(head[_CHECKED:] + content)
    return RECORD.pack(RECORD_MAGIC, len(content), checksum, writer, sequence) + content


def begun(start: bytes) -> tuple[RecordId, int] | None:
    """Which record begins with these bytes, and how long it is, header included; None for what begins no record."""
    if len(start) < RECORD.size or not start.startswith(RECORD_MAGIC):
        return None
    _, length, _, writer, sequence = RECORD.unpack_from(start)
    return record_id(writer, sequence), RECORD.size + length


def page(writer: int, sequence: int, size: int) -> bytes:
    """`size` bytes, a multiple of CELL, for a plain write: the same cell again and again."""
    return (b"{%06d-%06d}\n" % (writer, sequence)) * (size // CELL)


def data_id(writer: int, sequence: int) -> DataId:
    return DataId(f"w{writer}-{sequence}")


def segments(data: bytes) -> Iterator[Segment]:
    """What the bytes of a replica are, piece by piece, tiling it."""
    at = 0
    while at < len(data):
        whole = _whole_record(data, at)
        if whole is not None:
            yield whole
            at = whole.end
            continue
        cells = _CELLS.match(data, at)
        if cells:
            yield Segment(at, cells.end() - at, Kind.WRITE, data_id(int(cells[2]), int(cells[3])))
            at = cells.end()
            continue
        zeros = _ZEROS.match(data, at)
        end = zeros.end() if zeros else _next_of_interest(data, at + 1)
        piece = data[at:end]
        mark = _MARK.search(piece)
        if zeros:
            yield Segment(at, end - at, Kind.PADDING, "")
        elif mark is not None:
            yield Segment(at, end - at, Kind.FRAGMENT, record_id(int(mark[1]), int(mark[2])))
        else:
            yield Segment(at, end - at, Kind.OTHER, hashlib.sha256(piece).hexdigest()[:12])
        at = end


def _whole_record(data: bytes, at: int) -> Segment | None:
    if data[at : at + len(RECORD_MAGIC)] != RECORD_MAGIC or at + RECORD.size > len(data):
        return None
    _, length, checksum, writer, sequence = RECORD.unpack_from(data, at)
    end = at + RECORD.size + length
    if end > len(data) or crc32c(data[at + _CHECKED : end]) != checksum:
        return None
    return Segment(at, end - at, Kind.RECORD, record_id(writer, sequence))


def _next_of_interest(data: bytes, start: int) -> int:
    """Where the next record may begin, or padding does."""
    found = _INTEREST.search(data, start)
    return found.start() if found else len(data)

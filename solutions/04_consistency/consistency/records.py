"""Records that can be told from everything else a chunk may hold (GFS §2.7.2).

Record append promises that an acknowledged record is in the file at least once; it does not promise that
nothing else is. Between records there may be padding, fragments of appends that failed on some replica,
and second copies. So a record carries its own proof: a magic number to find it by, its length, a checksum,
and an identity that two copies share.

Invariant: `scan` returns a record only if every byte of it is in the data and its checksum fits, and it
returns every such record that is not part of another's body; whatever else it was given, it ends.

The frame is `labkit.protocol.RECORD` followed by the body. Its checksum is crc32c over client, sequence and
body as they stand in the frame, so over everything behind the checksum itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from labkit.checksum import crc32c
from labkit.protocol import RECORD, RECORD_MAGIC

# Where the checksummed part of a frame begins: behind magic, length and the checksum.
_CHECKED = 12


class RecordId(NamedTuple):
    """Who appended the record, and which of its records it is; each an unsigned number of 64 bits."""

    client: int
    sequence: int


@dataclass(frozen=True, slots=True)
class Record:
    """What an application appends: its bytes and their identity."""

    record_id: RecordId
    body: bytes


@dataclass(frozen=True, slots=True)
class Found:
    """A record and the offset of its frame."""

    offset: int
    record_id: RecordId
    body: bytes


class Filler(Enum):
    """What lies between records."""

    PADDING = "padding"  # zeros
    GARBAGE = "garbage"  # anything else: fragments, records that fail their checksum


@dataclass(frozen=True, slots=True)
class Skipped:
    """Bytes from `offset` on that belong to no record."""

    offset: int
    length: int
    filler: Filler


@dataclass(frozen=True, slots=True)
class Scan:
    """Everything in a stretch of bytes: records and what was skipped, each in file order."""

    records: list[Found]
    skipped: list[Skipped]


def encode(record: Record) -> bytes:
    """The record's frame: `RECORD` packed with magic, body length, checksum, client, sequence; then the body.

    The checksum is `crc32c` over the 8 bytes of the client, the 8 bytes of the sequence (both big-endian)
    and the body.
    """
    # lab 4 part B: pack once with checksum 0, checksum everything behind that field, then pack again
    client, sequence = record.record_id
    draft = RECORD.pack(RECORD_MAGIC, len(record.body), 0, client, sequence)
    checksum = crc32c(record.body, crc32c(draft[_CHECKED:]))
    return RECORD.pack(RECORD_MAGIC, len(record.body), checksum, client, sequence) + record.body


def scan(data: bytes, base: int = 0) -> Scan:
    """All records in `data`, the bytes of one chunk from file offset `base` on.

    Looks for the magic; where length and checksum fit, that is a record, and the search goes on behind it
    (a magic inside its body means nothing). Where they do not fit, the search goes on one byte further,
    since the next record may begin inside what the broken one claims to cover. A record that `data` ends
    inside of is no record. Copies of a record are all returned.

    The bytes between records are returned as `Skipped`, as long as possible each: padding if all of them
    are zero, garbage otherwise. Records and skipped stretches together cover `data` exactly.
    """
    # lab 4 part B: data.find(RECORD_MAGIC, at) finds the next candidate; keep where the last record ended
    result = Scan([], [])
    end = 0
    at = data.find(RECORD_MAGIC)
    while at != -1:
        found = _record_at(data, at, base)
        if found is None:
            at = data.find(RECORD_MAGIC, at + 1)
            continue
        _skip(result, data, end, at, base)
        result.records.append(found)
        end = at + RECORD.size + len(found.body)
        at = data.find(RECORD_MAGIC, end)
    _skip(result, data, end, len(data), base)
    return result


def without_duplicates(found: Iterable[Found]) -> list[Found]:
    """The first copy of each record, by its id, in the order given."""
    # lab 4 part B: a dict keeps the order in which its keys first came
    first: dict[RecordId, Found] = {}
    for record in found:
        first.setdefault(record.record_id, record)
    return list(first.values())


def _record_at(data: bytes, at: int, base: int) -> Found | None:
    # lab 4 part B
    if at + RECORD.size > len(data):
        return None
    _, length, checksum, client, sequence = RECORD.unpack_from(data, at)
    end = at + RECORD.size + length
    if end > len(data) or crc32c(data[at + _CHECKED : end]) != checksum:
        return None
    return Found(base + at, RecordId(client, sequence), data[at + RECORD.size : end])


def _skip(result: Scan, data: bytes, start: int, end: int, base: int) -> None:
    # lab 4 part B
    if start == end:
        return
    blank = data.count(0, start, end) == end - start
    filler = Filler.PADDING if blank else Filler.GARBAGE
    result.skipped.append(Skipped(base + start, end - start, filler))

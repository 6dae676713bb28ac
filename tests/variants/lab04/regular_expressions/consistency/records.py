"""Records, by a regular expression for where one may begin."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from labkit.checksum import crc32c
from labkit.protocol import RECORD, RECORD_MAGIC

BEGINNING = re.compile(re.escape(RECORD_MAGIC))


class RecordId(NamedTuple):
    client: int
    sequence: int


@dataclass(frozen=True)
class Record:
    record_id: RecordId
    body: bytes


@dataclass(frozen=True)
class Found:
    offset: int
    record_id: RecordId
    body: bytes


class Filler(Enum):
    PADDING = 0
    GARBAGE = 1


@dataclass(frozen=True)
class Skipped:
    offset: int
    length: int
    filler: Filler


@dataclass
class Scan:
    records: list[Found] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)


def encode(record: Record) -> bytes:
    names = b"%b%b" % (
        record.record_id.client.to_bytes(8, "big"),
        record.record_id.sequence.to_bytes(8, "big"),
    )
    start = RECORD_MAGIC + len(record.body).to_bytes(4, "big")
    return start + crc32c(names + record.body).to_bytes(4, "big") + names + record.body


def scan(data: bytes, base: int = 0) -> Scan:
    result, at = Scan(), 0
    for candidate in BEGINNING.finditer(data):
        start = candidate.start()
        if start < at:
            continue  # in the body of the record before
        head = data[start : start + RECORD.size]
        if len(head) < RECORD.size:
            continue
        _, length, check, client, sequence = RECORD.unpack(head)
        body = data[start + RECORD.size : start + RECORD.size + length]
        if len(body) == length and crc32c(head[12:] + body) == check:
            _between(result, data, at, start, base)
            result.records.append(Found(base + start, RecordId(client, sequence), body))
            at = start + RECORD.size + length
    _between(result, data, at, len(data), base)
    return result


def _between(result: Scan, data: bytes, start: int, end: int, base: int) -> None:
    if start < end:
        filler = Filler.GARBAGE if data[start:end].strip(b"\0") else Filler.PADDING
        result.skipped.append(Skipped(base + start, end - start, filler))


def without_duplicates(found: Iterable[Found]) -> list[Found]:
    seen: set[RecordId] = set()
    return [one for one in found if not (one.record_id in seen or seen.add(one.record_id))]

"""Records: their layout, and finding them among anything else."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from typing import Any

import pytest

from labkit.checksum import crc32c
from labkit.protocol import RECORD, RECORD_MAGIC
from tests.client.world import frame


def test_a_frame_is_laid_out_as_the_protocol_says(lab: Any) -> None:
    checked = struct.pack(">QQ", 7, 2**64 - 1) + b"body"
    expected = b"\xf5REC" + struct.pack(">II", 4, crc32c(checked)) + checked
    assert frame(lab, b"body", 7, 2**64 - 1) == expected


PIECES: dict[str, Callable[[Any, random.Random], bytes]] = {
    "padding": lambda lab, rng: bytes(rng.randrange(1, 60)),
    "noise": lambda lab, rng: rng.randbytes(rng.randrange(1, 60)),
    "lone magic": lambda lab, rng: RECORD_MAGIC * rng.randrange(1, 4) + RECORD_MAGIC[: rng.randrange(4)],
    "cut frame": lambda lab, rng: frame(lab, rng.randbytes(40))[: rng.randrange(1, 68)],
    "flipped frame": lambda lab, rng: flip(frame(lab, rng.randbytes(40)), 4 + rng.randrange(64)),
    "header with a huge length": lambda lab, rng: RECORD.pack(RECORD_MAGIC, 2**32 - 1, 0, 1, 1),
}


def flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]


@pytest.mark.parametrize("seed", range(150))
def test_a_scan_finds_every_record_and_nothing_else(lab: Any, seed: int) -> None:
    rng = random.Random(seed)
    data, base, expected = b"", rng.randrange(10_000), []
    for _ in range(rng.randrange(8)):
        if rng.random() < 0.5:
            data += PIECES[rng.choice(list(PIECES))](lab, rng)
            continue
        # Bodies may hold the magic, or even a whole frame: it is part of a record and no record itself.
        body = rng.choice([b"", RECORD_MAGIC, b"x" * 30, frame(lab, b"inner", 99), rng.randbytes(20)])
        name = (rng.randrange(2), rng.randrange(3))
        expected.append((base + len(data), name, body))
        data += frame(lab, body, *name)
    result = lab("records").scan(data, base)
    assert [(found.offset, found.record_id, found.body) for found in result.records] == expected
    spans = [(f.offset, RECORD.size + len(f.body)) for f in result.records]
    spans += [(s.offset, s.length) for s in result.skipped]
    at = base
    for offset, length in sorted(spans):
        assert offset == at and length > 0, "records and skipped stretches cover the data exactly"
        at += length
    assert at == base + len(data)


def test_skipped_stretches_tell_padding_from_garbage(lab: Any) -> None:
    records = lab("records")
    whole = frame(lab, b"whole")
    skipped = records.scan(bytes(9) + whole + whole[:-1] + whole + bytes(3), 100).skipped
    first, second, third = 100, 109 + len(whole), 109 + 3 * len(whole) - 1
    assert skipped == [
        records.Skipped(first, 9, records.Filler.PADDING),
        records.Skipped(second, len(whole) - 1, records.Filler.GARBAGE),
        records.Skipped(third, 3, records.Filler.PADDING),
    ]


def test_of_copies_the_first_is_kept(lab: Any) -> None:
    records = lab("records")
    copies = [
        records.Found(n, records.RecordId(1, sequence), b"") for n, sequence in enumerate([2, 1, 2, 3, 1])
    ]
    assert [found.offset for found in records.without_duplicates(copies)] == [0, 1, 3]

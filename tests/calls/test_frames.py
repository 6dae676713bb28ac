"""Lab 1's reference: frames, as bytes."""

from __future__ import annotations

import struct
import tracemalloc
from types import SimpleNamespace
from typing import Any

import pytest

from labkit.errors import (
    MalformedFrame,
)
from labkit.protocol import MAX_HEADER, MAX_PAYLOAD
from tests.calls.nodes import MEGABYTE


def frames_of(lab: SimpleNamespace) -> list[tuple[dict[str, Any], bytes]]:
    wire = lab.wire
    return [
        ({"xid": [1, 2]}, b""),
        ({"a": None}, b"payload"),
        ({}, b"x" * (wire.SMALL - 9)),
        ({"long": "h" * (2 * wire.SMALL)}, b""),
        ({"long": "h" * wire.SMALL}, bytes(range(256)) * 40),
    ]


def feed(assembler: Any, data: bytes) -> list[Any]:
    taken: list[Any] = []
    view = memoryview(data)
    while view:
        room = assembler.room()
        assert len(room) > 0
        count = min(len(room), len(view))
        room[:count] = view[:count]
        del room  # good for one receive; kept, it would stop its buffer from growing
        assembler.filled(count)
        view = view[count:]
        while (frame := assembler.take()) is not None:
            taken.append(frame)
    return taken


def test_a_frame_is_prefix_header_payload(lab: SimpleNamespace) -> None:
    head = struct.pack(">II", 4, 3) + b"\x81\xa1a\x01"
    assert lab.wire.encode({"a": 1}, b"xyz") == [head + b"xyz"]
    assert lab.wire.encode({"a": 1}) == [struct.pack(">II", 4, 0) + b"\x81\xa1a\x01"]
    head, payload = lab.wire.encode({"a": 1}, MEGABYTE)
    assert bytes(head) == struct.pack(">II", 4, len(MEGABYTE)) + b"\x81\xa1a\x01"
    assert payload == MEGABYTE


def test_a_large_payload_is_not_copied(lab: SimpleNamespace) -> None:
    data = bytearray(MEGABYTE)
    assert lab.wire.encode({}, data)[1] is data


@pytest.mark.parametrize("items", [2, 100_000])
def test_lengths_count_bytes_not_items(lab: SimpleNamespace, items: int) -> None:
    frame = b"".join(lab.wire.encode({}, memoryview(bytearray(4 * items)).cast("I")))
    assert struct.unpack(">II", frame[:8])[1] == 4 * items == len(frame) - 9


@pytest.mark.parametrize(
    ("header", "payload", "error"),
    [
        ({"a": object()}, b"", TypeError),
        ({1: 2}, b"", TypeError),
        ({"a": 1 << 64}, b"", ValueError),
        ({}, "text", TypeError),
        ({}, memoryview(b"0123")[::2], TypeError),
        ({"a": b"x" * MAX_HEADER}, b"", ValueError),
        ({}, bytearray(MAX_PAYLOAD + 1), ValueError),
    ],
    ids=["object", "key", "integer", "text payload", "strided payload", "header size", "payload size"],
)
def test_what_cannot_be_sent_is_refused(lab: SimpleNamespace, header: Any, payload: Any, error: type) -> None:
    with pytest.raises(error):
        lab.wire.encode(header, payload)


@pytest.mark.parametrize(
    ("header", "payload", "fine"),
    [
        (1, 0, True),
        (MAX_HEADER, MAX_PAYLOAD, True),
        (0, 0, False),
        (MAX_HEADER + 1, 0, False),
        (1, MAX_PAYLOAD + 1, False),
        (2**32 - 1, 2**32 - 1, False),
    ],
)
def test_lengths_are_bounded(lab: SimpleNamespace, header: int, payload: int, fine: bool) -> None:
    prefix = struct.pack(">II", header, payload)
    if fine:
        assert feed(lab.wire.FrameAssembler(), prefix) == []
    else:
        with pytest.raises(MalformedFrame):
            feed(lab.wire.FrameAssembler(), prefix)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x01",
        b"\x90",
        b"\x81\x01\x02",
        b"\x81\xc4\x01a\x01",
        b"\x80\x80",
        b"\x81\xa1a",
        b"\xc1",
        b"\xdf\xff",
    ],
    ids=["nothing", "int", "list", "int key", "bytes key", "two values", "cut", "no msgpack", "cut map"],
)
def test_a_header_is_one_map_with_str_keys(lab: SimpleNamespace, data: bytes) -> None:
    with pytest.raises(MalformedFrame):
        feed(lab.wire.FrameAssembler(), struct.pack(">II", len(data), 0) + data)


def test_frames_survive_a_split_at_every_byte(lab: SimpleNamespace) -> None:
    frames = [({"xid": [1, 2]}, b""), ({"a": None}, b"payload"), ({"b": "c" * 40}, b"")]
    data = b"".join(b"".join(lab.wire.encode(*frame)) for frame in frames)
    for cut in range(len(data) + 1):
        assembler = lab.wire.FrameAssembler()
        assert feed(assembler, data[:cut]) + feed(assembler, data[cut:]) == frames
        assert assembler.empty


def test_frames_of_any_size_survive_a_byte_at_a_time(lab: SimpleNamespace) -> None:
    frames = frames_of(lab)
    data = b"".join(b"".join(lab.wire.encode(*frame)) for frame in frames)
    assembler = lab.wire.FrameAssembler()
    assert [frame for i in range(len(data)) for frame in feed(assembler, data[i : i + 1])] == frames


def test_frames_that_arrive_together_are_told_apart(lab: SimpleNamespace) -> None:
    frames = frames_of(lab) * 3
    data = b"".join(b"".join(lab.wire.encode(*frame)) for frame in frames)
    assert feed(lab.wire.FrameAssembler(), data) == frames


def test_a_frame_keeps_its_payload_when_the_next_arrives(lab: SimpleNamespace) -> None:
    assembler = lab.wire.FrameAssembler()
    ((_, first),) = feed(assembler, b"".join(lab.wire.encode({}, b"first")))
    feed(assembler, b"".join(lab.wire.encode({}, b"other")))
    assert first == b"first"


def test_a_claimed_length_costs_nothing_before_its_bytes_arrive(lab: SimpleNamespace) -> None:
    tracemalloc.start()
    try:
        for claim in (
            struct.pack(">II", 1, MAX_PAYLOAD) + b"\x80",
            struct.pack(">II", MAX_HEADER, MAX_PAYLOAD),
        ):
            assert feed(lab.wire.FrameAssembler(), claim) == []
        assert tracemalloc.get_traced_memory()[1] < 3 * lab.wire.TRUST
    finally:
        tracemalloc.stop()


def test_a_payload_beyond_the_trusted_size_grows_as_it_arrives(lab: SimpleNamespace) -> None:
    payload = MEGABYTE * 3 + b"end"
    ((_, received),) = feed(lab.wire.FrameAssembler(), b"".join(lab.wire.encode({}, payload)))
    assert received == payload

"""Frames as bytes: a part at a time (lengths, header, payload), each gathered in pieces."""

from __future__ import annotations

import struct
from collections.abc import Generator, Mapping
from typing import Any, NamedTuple

from labkit import codec
from labkit.errors import MalformedFrame
from labkit.protocol import MAX_HEADER, MAX_PAYLOAD

Buffer = bytes | bytearray | memoryview
LENGTHS = struct.Struct("!LL")
LARGEST_PIECE = 32 * 1024


class Frame(NamedTuple):
    header: dict[str, Any]
    payload: Buffer = b""


def encode(header: Mapping[str, Any], payload: Buffer = b"") -> list[Buffer]:
    text = codec.pack(header)
    size = memoryview(payload).nbytes
    if len(text) > MAX_HEADER:
        raise ValueError("too much in the header")
    if size > MAX_PAYLOAD:
        raise ValueError("too much payload")
    return [LENGTHS.pack(len(text), size) + text, bytes(payload)]


def lengths(data: bytes) -> tuple[int, int]:
    header, payload = LENGTHS.unpack(data)
    if header == 0 or header > MAX_HEADER or payload > MAX_PAYLOAD:
        raise MalformedFrame("these are no lengths")
    return header, payload


def header_of(data: bytes) -> dict[str, Any]:
    try:
        value = codec.unpack(data)
    except ValueError as error:
        raise MalformedFrame("this is no header") from error
    if not isinstance(value, dict) or any(not isinstance(key, str) for key in value):
        raise MalformedFrame("this is no header, though msgpack")
    return value


class FrameAssembler:
    """A generator says how much it needs next, and is sent it."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._pieces: list[memoryview] = []
        self._parts = self._frame()
        self._missing = next(self._parts)
        self._room = memoryview(b"")
        self._done: Frame | None = None
        self._touched = False

    def _frame(self) -> Generator[int, bytes, Frame]:
        header, payload = lengths((yield LENGTHS.size))
        text = header_of((yield header))
        return Frame(text, (yield payload) if payload else b"")

    def room(self) -> memoryview:
        self._room = memoryview(bytearray(min(self._missing, LARGEST_PIECE)))
        return self._room

    def filled(self, count: int) -> None:
        self._pieces.append(self._room[:count])
        self._missing -= count
        self._touched = True

    def between_frames(self) -> bool:
        return not self._touched

    def take(self) -> Frame | None:
        if self._missing:
            return None
        part, self._pieces = b"".join(self._pieces), []
        try:
            self._missing = self._parts.send(part)
        except StopIteration as end:
            self._begin()
            return end.value
        return None

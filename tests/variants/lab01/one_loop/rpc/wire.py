"""Frames as bytes: everything that came is in one buffer, and frames are cut off its front."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from labkit import codec
from labkit.errors import MalformedFrame
from labkit.protocol import FRAME, MAX_HEADER, MAX_PAYLOAD

Buffer = bytes | bytearray | memoryview
PIECE = 64 * 1024


class Frame(NamedTuple):
    header: dict[str, Any]
    payload: Buffer


def encode(header: Mapping[str, Any], payload: Buffer = b"") -> list[Buffer]:
    packed = codec.pack(dict(header))
    body = memoryview(payload).cast("B") if len(payload) else memoryview(b"")
    if len(packed) > MAX_HEADER or body.nbytes > MAX_PAYLOAD:
        raise ValueError(f"{len(packed)} bytes of header and {body.nbytes} of payload are no frame")
    start: list[Buffer] = [FRAME.pack(len(packed), body.nbytes), packed]
    return [*start, body] if body.nbytes else start


def _header(data: bytes) -> dict[str, Any]:
    try:
        header = codec.unpack(data)
    except ValueError as error:
        raise MalformedFrame(str(error)) from error
    if not isinstance(header, dict) or not all(isinstance(key, str) for key in header):
        raise MalformedFrame("not a map with names as keys")
    return header


class FrameAssembler:
    def __init__(self) -> None:
        self._piece = bytearray(PIECE)
        self._held = bytearray()
        self._known: tuple[int, int] | None = None  # the lengths of the frame at the front
        self._header: dict[str, Any] | None = None

    def room(self) -> memoryview:
        return memoryview(self._piece)

    def filled(self, count: int) -> None:
        self._held += memoryview(self._piece)[:count]

    def between_frames(self) -> bool:
        return not self._held and self._known is None

    def take(self) -> Frame | None:
        if self._known is None:
            if len(self._held) < FRAME.size:
                return None
            header, payload = FRAME.unpack_from(self._held)
            if not 1 <= header <= MAX_HEADER or payload > MAX_PAYLOAD:
                raise MalformedFrame(f"lengths {header} and {payload}")
            self._known = header, payload
            del self._held[: FRAME.size]
        header, payload = self._known
        if self._header is None:
            if len(self._held) < header:
                return None
            self._header = _header(bytes(self._held[:header]))
            del self._held[:header]
        if len(self._held) < payload:
            return None
        frame = Frame(self._header, bytes(self._held[:payload]))
        del self._held[:payload]
        self._known = self._header = None
        return frame

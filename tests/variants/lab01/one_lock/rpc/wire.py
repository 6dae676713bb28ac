"""Frames, requests and replies. A part that is under way is received in place, in memory that grows as it fills."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from labkit import codec
from labkit.errors import MalformedFrame, RemoteError
from labkit.protocol import FRAME, MAX_HEADER, MAX_PAYLOAD

Buffer = bytes | bytearray | memoryview
STEP = 256 * 1024


class Frame(NamedTuple):
    header: dict[str, Any]
    payload: bytearray


class Reply(NamedTuple):
    value: Any = None
    payload: Buffer = b""


def encode(header: Mapping[str, Any], payload: Buffer = b"") -> list[Buffer]:
    packed = codec.pack(dict(header))
    payload = bytes(payload)
    if not 0 < len(packed) <= MAX_HEADER:
        raise ValueError(f"{len(packed)} bytes do not fit into a header")
    if len(payload) > MAX_PAYLOAD:
        raise ValueError(f"{len(payload)} bytes do not fit into a payload")
    return [b"%b%b%b" % (FRAME.pack(len(packed), len(payload)), packed, payload)]


def encode_outcome(xid: list[int], outcome: Reply | RemoteError) -> bytes:
    if isinstance(outcome, RemoteError):
        return bytes(encode({"xid": xid, "error": outcome.to_wire()})[0])
    return bytes(encode({"xid": xid, "result": outcome.value}, outcome.payload)[0])


def decode_outcome(frame: Frame) -> Reply | RemoteError:
    if "error" in frame.header:
        return RemoteError.from_wire(frame.header["error"])
    try:
        return Reply(frame.header["result"], frame.payload)
    except KeyError as error:
        raise MalformedFrame("a reply without a result") from error


class FrameAssembler:
    LENGTHS, HEADER, PAYLOAD = "lengths", "header", "payload"

    def __init__(self) -> None:
        self._header: dict[str, Any] = {}
        self._sizes = (0, 0)
        self._expect(self.LENGTHS, FRAME.size)

    def _expect(self, what: str, size: int) -> None:
        self._what, self._size, self._have = what, size, 0
        self._data = bytearray(min(size, STEP))

    def room(self) -> memoryview:
        if self._have == len(self._data):
            self._data.extend(bytes(min(self._size - self._have, max(STEP, self._have))))
        return memoryview(self._data)[self._have :]

    def filled(self, count: int) -> None:
        self._have += count

    def between_frames(self) -> bool:
        return self._what == self.LENGTHS and self._have == 0

    def take(self) -> Frame | None:
        while self._have == self._size:
            data = self._data
            if self._what == self.LENGTHS:
                self._sizes = header, payload = FRAME.unpack(data)
                if not 0 < header <= MAX_HEADER or payload > MAX_PAYLOAD:
                    raise MalformedFrame("nobody sends frames of this size")
                self._expect(self.HEADER, header)
            elif self._what == self.HEADER:
                self._header = self._parsed(bytes(data))
                self._expect(self.PAYLOAD, self._sizes[1])
            else:
                frame = Frame(self._header, data)
                self._expect(self.LENGTHS, FRAME.size)
                return frame
        return None

    @staticmethod
    def _parsed(data: bytes) -> dict[str, Any]:
        try:
            header = codec.unpack(data)
        except ValueError as error:
            raise MalformedFrame("not msgpack") from error
        if type(header) is not dict or {type(key) for key in header} - {str}:
            raise MalformedFrame("not a map of names")
        return header

"""Frames as bytes, without any IO: `u32 header length | u32 payload length | header | payload`.

The header is a msgpack map; the payload is bulk data and travels beside it, so that a megabyte is never
copied into a header. Both lengths are bounded and come from a stranger: whatever they claim, memory is
only spent on bytes that arrived. Source: docs/protocol.md; the shape of `FrameAssembler` (room, filled,
take) keeps the decision where bytes go apart from the socket they come from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from labkit import codec
from labkit.errors import MalformedFrame
from labkit.protocol import FRAME, MAX_HEADER, MAX_PAYLOAD

Buffer = bytes | bytearray | memoryview
Frame = tuple[Any, Buffer]  # one received: what `parse` made of its header; b"" or a bytearray to keep

PREFIX = FRAME.size
_pack_prefix, _unpack_prefix = FRAME.pack, FRAME.unpack_from
SMALL = 4096  # a frame up to this size arrives in one receive and allocates nothing before it is complete
TRUST = 1024 * 1024  # what a claimed length may cost before its bytes arrive


def encode(header: Mapping[str, Any], payload: Buffer = b"") -> list[Buffer]:
    """The frame of a header's map; TypeError or ValueError for a value that msgpack cannot carry."""
    # lab 1 part A: pack the header with labkit.codec
    return join(codec.pack(header), payload)


def join(header: bytes, payload: Buffer) -> list[Buffer]:
    """A frame as buffers to send in this order: prefix and header joined, then the payload, uncopied.

    There is one buffer only when the payload is empty, or so small that a copy costs less than a second
    buffer. TypeError or ValueError, and so nothing sent, for a payload that is no bytes-like object, or a
    header or payload above `MAX_HEADER` or `MAX_PAYLOAD` bytes. Lengths count bytes, whatever items a
    memoryview has.
    """
    # lab 1 part A: check both sizes, put FRAME.pack in front
    length = len(header)
    if length > MAX_HEADER:
        raise ValueError(f"a header of {length} bytes is more than {MAX_HEADER}; send data as payload")
    if payload == b"":  # nearly every frame
        return [_pack_prefix(length, 0) + header]
    if not isinstance(payload, (bytes, bytearray)):
        payload = memoryview(payload).cast("B")
    size = len(payload)
    if size > MAX_PAYLOAD:
        raise ValueError(f"a payload of {size} bytes is more than {MAX_PAYLOAD}")
    head = _pack_prefix(length, size) + header
    return [head + payload] if size <= SMALL else [head, payload]


def parse_header(data: Buffer) -> dict[str, Any]:
    """The header's map. ValueError when the bytes are not exactly one msgpack map with str keys."""
    # lab 1 part A: labkit.codec.unpack; a list or a number is no header either
    header = codec.unpack(data)
    if type(header) is not dict:
        raise ValueError("no map")
    return header  # pyright: ignore[reportUnknownVariableType]


class FrameAssembler:
    """Puts frames together from bytes that come in pieces of any size; knows nothing of sockets.

    Use: receive into `room()`, report how much arrived to `filled(count)`, then `take()` frames until it
    gives None; a room is good for one receive. All state is here, so a receiver that gave up waiting in the
    middle of a frame can simply go on later. After MalformedFrame the rest of the stream means nothing:
    throw both away.

    `parse` makes of a header's bytes what its receiver wants, or raises one of `codec.BAD_DATA`.
    """

    def __init__(self, parse: Callable[[Buffer], Any] = parse_header) -> None:
        # lab 1 part A: a small buffer for prefixes and small frames, and the part of a frame being filled
        self.empty = True
        self._parse = parse
        self._small = memoryview(bytearray(SMALL))
        self._start = 0  # what is in `_small` and not used yet: from here
        self._end = 0  # to here
        self._part: _Part | None = None  # the header or payload on its way, if longer than what we have
        self._header: Any = None  # known, while its payload is on its way
        self._payload_length = 0

    def room(self) -> memoryview:
        """Where the next bytes belong; never empty after `take()` gave None."""
        # lab 1 part A: large parts are received in place, everything else into the small buffer
        if self._part is not None:
            return self._part.room()
        return self._small[self._end :] if self._end else self._small

    def filled(self, count: int) -> None:
        """`count` bytes were put at the beginning of `room()`."""
        # lab 1 part A: remember how far the buffer that room() gave out is filled now
        if self._part is not None:
            self._part.filled += count
        else:
            self._end += count
        self.empty = False

    def take(self) -> Frame | None:
        """The next whole frame, or None until more bytes arrive. MalformedFrame as early as it is known.

        A claimed length never allocates more than `TRUST` bytes, or twice what has arrived of it.
        """
        # lab 1 part A: prefix, then header, then payload; each may still be incomplete
        if self._part is not None:
            return self._take_part()
        start, end = self._start, self._end
        body = start + PREFIX
        if body > end:
            if start:
                self._move_to_front()
            return None
        header_length, payload_length = _unpack_prefix(self._small, start)
        if not 0 < header_length <= MAX_HEADER or payload_length > MAX_PAYLOAD:
            raise MalformedFrame(
                f"a frame claims {header_length} bytes of header, {payload_length} of payload"
            )
        payload = body + header_length
        behind = payload + payload_length
        if behind > end:  # rare: nearly every frame arrives whole
            self._start = body
            self._payload_length = payload_length
            self._part = self._open_part(header_length)
            return self._take_part()
        try:
            header = self._parse(self._small[body:payload])
        except codec.BAD_DATA as error:
            raise _no_header(error) from error
        bulk = bytearray(self._small[payload:behind]) if payload_length else b""
        if behind == end:
            behind = self._end = 0
            self.empty = True
        self._start = behind
        return header, bulk

    def _take_part(self) -> Frame | None:
        # lab 1 part A
        part = self._part
        assert part is not None
        if self._header is None:
            if part.filled < part.length:
                return None
            try:
                self._header = self._parse(part.data)
            except codec.BAD_DATA as error:
                raise _no_header(error) from error
            part = self._part = self._open_part(self._payload_length)
        if part.filled < part.length:
            return None
        frame = self._header, part.data if part.length else b""
        self._part = self._header = None
        self._start = self._end = 0  # what was there belonged to this frame, and was not all of it
        self.empty = True
        return frame

    def _open_part(self, length: int) -> _Part:
        # lab 1 part A
        part = _Part(length)
        count = min(length, self._end - self._start)
        part.data[:count] = self._small[self._start : self._start + count]
        part.filled = count
        self._start += count
        return part

    def _move_to_front(self) -> None:
        # lab 1 part A
        count = self._end - self._start
        if count:
            self._small[:count] = self._small[self._start : self._end]
        self._start, self._end = 0, count


class _Part:
    """A header or payload of known length that arrives in pieces."""

    # lab 1 part A

    __slots__ = ("data", "filled", "length")

    def __init__(self, length: int) -> None:
        self.length = length
        self.data = bytearray(min(length, TRUST))
        self.filled = 0

    def room(self) -> memoryview:
        # Doubling: a claim of 64 MB costs 1 MiB until the first MiB is really there.
        if self.filled == len(self.data):
            self.data += bytes(min(len(self.data), self.length - len(self.data)))
        return memoryview(self.data)[self.filled :]


def _no_header(error: Exception) -> MalformedFrame:
    # lab 1 part A
    return MalformedFrame(f"the header is {error}")

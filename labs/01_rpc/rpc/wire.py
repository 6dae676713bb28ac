"""Frames as bytes, without any IO: `u32 header length | u32 payload length | header | payload`.

The header is a msgpack map; the payload is bulk data and travels beside it, so that a megabyte is never
copied into a header. Both lengths are bounded and come from a stranger: whatever they claim, memory is
only spent on bytes that arrived. Source: docs/protocol.md; the shape of `FrameAssembler` (room, filled,
take) keeps the decision where bytes go apart from the socket they come from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from labkit.protocol import FRAME

Buffer = bytes | bytearray | memoryview
Frame = tuple[Any, Buffer]  # one received: what `parse` made of its header; b"" or a bytearray to keep

PREFIX = FRAME.size
_pack_prefix, _unpack_prefix = FRAME.pack, FRAME.unpack_from
SMALL = 4096  # a frame up to this size arrives in one receive and allocates nothing before it is complete
TRUST = 1024 * 1024  # what a claimed length may cost before its bytes arrive


def encode(header: Mapping[str, Any], payload: Buffer = b"") -> list[Buffer]:
    """The frame of a header's map; TypeError or ValueError for a value that msgpack cannot carry."""
    raise NotImplementedError("lab 1 part A: pack the header with labkit.codec")


def join(header: bytes, payload: Buffer) -> list[Buffer]:
    """A frame as buffers to send in this order: prefix and header joined, then the payload, uncopied.

    There is one buffer only when the payload is empty, or so small that a copy costs less than a second
    buffer. TypeError or ValueError, and so nothing sent, for a payload that is no bytes-like object, or a
    header or payload above `MAX_HEADER` or `MAX_PAYLOAD` bytes. Lengths count bytes, whatever items a
    memoryview has.
    """
    raise NotImplementedError("lab 1 part A: check both sizes, put FRAME.pack in front")


def parse_header(data: Buffer) -> dict[str, Any]:
    """The header's map. ValueError when the bytes are not exactly one msgpack map with str keys."""
    raise NotImplementedError("lab 1 part A: labkit.codec.unpack; a list or a number is no header either")


class FrameAssembler:
    """Puts frames together from bytes that come in pieces of any size; knows nothing of sockets.

    Use: receive into `room()`, report how much arrived to `filled(count)`, then `take()` frames until it
    gives None; a room is good for one receive. All state is here, so a receiver that gave up waiting in the
    middle of a frame can simply go on later. After MalformedFrame the rest of the stream means nothing:
    throw both away.

    `parse` makes of a header's bytes what its receiver wants, or raises one of `codec.BAD_DATA`.
    """

    def __init__(self, parse: Callable[[Buffer], Any] = parse_header) -> None:
        raise NotImplementedError(
            "lab 1 part A: a small buffer for prefixes and small frames, and the part of a frame being filled"
        )

    def room(self) -> memoryview:
        """Where the next bytes belong; never empty after `take()` gave None."""
        raise NotImplementedError(
            "lab 1 part A: large parts are received in place, everything else into the small buffer"
        )

    def filled(self, count: int) -> None:
        """`count` bytes were put at the beginning of `room()`."""
        raise NotImplementedError(
            "lab 1 part A: remember how far the buffer that room() gave out is filled now"
        )

    def take(self) -> Frame | None:
        """The next whole frame, or None until more bytes arrive. MalformedFrame as early as it is known.

        A claimed length never allocates more than `TRUST` bytes, or twice what has arrived of it.
        """
        raise NotImplementedError(
            "lab 1 part A: prefix, then header, then payload; each may still be incomplete"
        )

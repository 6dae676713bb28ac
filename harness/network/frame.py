"""A frame as the harness sees it, and the harness's own codec for it: pure, and independent of labkit's users.

Independent on purpose: a student's codec is tested against this one, so that a mistake made symmetrically in
encoding and decoding cannot pass.
"""

from __future__ import annotations

import struct
from collections.abc import Hashable
from typing import Any, cast

import msgpack

from labkit.protocol import MAX_HEADER, MAX_PAYLOAD, RECORD

PREFIX = struct.Struct(">II")

REQUEST, REPLY = "request", "reply"
# Bytes of a payload that the journal keeps: who wrote a record, and its number, are among them.
GLIMPSE = RECORD.size


class Frame:
    """One message on its way. `time` is virtual; `fate` says in a word what the harness did with it.

    A reply carries the method of the request it answers. `header` is whatever the sender wrote, believed in nothing.
    `glimpse` are the first bytes of the payload, as far as they came together with the header.
    """

    __slots__ = (
        "connection",
        "fate",
        "glimpse",
        "header",
        "kind",
        "method",
        "receiver",
        "sender",
        "size",
        "time",
        "xid",
    )

    def __init__(
        self,
        kind: str,
        sender: str,
        receiver: str,
        header: dict[str, Any],
        size: int,
        connection: int,
        time: float,
        glimpse: bytes = b"",
    ) -> None:
        self.kind = kind
        self.sender = sender
        self.receiver = receiver
        self.header = header
        self.glimpse = glimpse
        self.xid = _key(header.get("xid"))
        self.method = str(header.get("method", "?"))
        self.size = size
        self.connection = connection
        self.time = time
        self.fate = "passed"

    @property
    def failed(self) -> bool:
        """A reply that says no."""
        return self.kind == REPLY and self.header.get("error") is not None

    def __repr__(self) -> str:
        return f"<{self.kind} {self.method} {self.sender}->{self.receiver} at {self.time:.3f} s, {self.fate}>"


def _key(xid: Any) -> Hashable:
    """An xid as a dictionary key; whatever is no pair of integers is None."""
    match xid:
        case [int(client), int(sequence)]:
            return (client, sequence)
        case _:
            return None


def encode(header: dict[str, Any], payload: bytes = b"") -> bytes:
    packed = cast(bytes, msgpack.packb(header, use_bin_type=True))  # pyright: ignore[reportUnknownMemberType]
    return PREFIX.pack(len(packed), len(payload)) + packed + payload


def decode_header(data: bytes | memoryview) -> dict[str, Any]:
    """The header, or an empty map when it is no map or no msgpack at all."""
    try:
        header: Any = msgpack.unpackb(data, raw=False, strict_map_key=False)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    except Exception:  # whatever a hostile header makes the decoder raise
        return {}
    return cast(dict[str, Any], header) if isinstance(header, dict) else {}


def plausible(header_size: int, payload_size: int) -> bool:
    """False for a prefix that no frame can have: from there on the stream is not frames."""
    return 0 < header_size <= MAX_HEADER and payload_size <= MAX_PAYLOAD


class Decoder:
    """Turns a byte stream into (header, payload) pairs; ValueError on what is no frame. For stubs and tests."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> list[tuple[dict[str, Any], bytes]]:
        self._data += data
        found: list[tuple[dict[str, Any], bytes]] = []
        while len(self._data) >= PREFIX.size:
            header_size, payload_size = PREFIX.unpack_from(self._data)
            if not plausible(header_size, payload_size):
                raise ValueError(f"a prefix that says {header_size} and {payload_size} bytes is no frame's")
            end = PREFIX.size + header_size + payload_size
            if len(self._data) < end:
                break
            header = decode_header(bytes(self._data[PREFIX.size : PREFIX.size + header_size]))
            if not header:
                raise ValueError("the header is no map")
            found.append((header, bytes(self._data[PREFIX.size + header_size : end])))
            del self._data[:end]
        return found

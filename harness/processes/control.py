"""The wire between harness and node: length-prefixed msgpack over a private socket pair.

Both ends send maps. The harness sends requests {"id", "command", "args"}; a node answers {"id", "value"} or
{"id", "error": {...}} and sends events {"event", ...} of its own accord. A node's side runs student code, so
the harness believes nothing in it beyond its size bound and its being a map.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from typing import Any, cast

from labkit import codec

MAX_MESSAGE = 80 * 1024 * 1024  # a whole payload of the wire, and its surroundings

_LENGTH = struct.Struct(">I")


class ControlClosed(Exception):
    """The other end is gone, or sent what no well-behaved end would."""


def as_map(value: Any) -> dict[str, Any]:
    """`value` if it is a map, else an empty one: for parts of messages that student code may have had a hand in."""
    return cast(dict[str, Any], value) if isinstance(value, dict) else {}


class ControlSocket:
    """One end. `send` may be called from several threads, `receive` from one."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._send_lock = threading.Lock()

    def send(self, message: dict[str, Any]) -> None:
        data = codec.pack(message)
        try:
            with self._send_lock:
                self._sock.sendall(_LENGTH.pack(len(data)) + data)
        except OSError as error:
            raise ControlClosed(str(error)) from error

    def receive(self) -> dict[str, Any]:
        (length,) = _LENGTH.unpack(self._exactly(_LENGTH.size))
        if length > MAX_MESSAGE:
            raise ControlClosed(f"a control message of {length} bytes")
        try:
            message = codec.unpack(self._exactly(length))
        except ValueError as error:
            raise ControlClosed(str(error)) from error
        if not isinstance(message, dict):
            raise ControlClosed("a control message that is no map")
        return cast(dict[str, Any], message)

    def close(self) -> None:
        with contextlib.suppress(OSError):  # the other end may have gone first
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()

    def _exactly(self, count: int) -> bytearray:
        data = bytearray()
        while len(data) < count:
            try:
                part = self._sock.recv(min(count - len(data), 1 << 20))
            except OSError as error:
                raise ControlClosed(str(error)) from error
            if not part:
                raise ControlClosed("end of stream")
            data += part
        return data

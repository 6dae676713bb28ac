"""The harness asks a node by the wire, past the proxy: best-effort calls with its own codec.

For the final dump of every replica: what a student's client or its RPC layer thinks has no say in it.
"""

from __future__ import annotations

import itertools
import os
import socket
from types import TracebackType
from typing import Any

from harness.network.frame import Decoder, encode
from harness.patience import Deadline, longest
from harness.shapes import check_reply
from labkit.errors import RemoteError


class NoAnswer(Exception):
    """The node is down, sends what is no frame, or takes too long."""


class Asker:
    """One connection to the port of a node. `seconds` of patience are what one answer may take."""

    def __init__(self, port: int, name: str = "a server", seconds: float = 5.0) -> None:
        self._name = name
        self._numbers = itertools.count(1)
        self._client = int.from_bytes(os.urandom(7), "big")
        self._decoder = Decoder()
        self._seconds = seconds
        try:
            self._sock = socket.create_connection(("127.0.0.1", port), timeout=longest(seconds))
        except OSError as error:
            raise NoAnswer(str(error)) from error

    def __enter__(self) -> Asker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sock.close()

    def ask(self, method: str, args: dict[str, Any], payload: bytes = b"") -> tuple[dict[str, Any], bytes]:
        """Result and payload of one call; RemoteError when the node says no, NoAnswer when it says nothing,
        LabFailure when it says something else than the catalogue has."""
        xid = [self._client, next(self._numbers)]
        header = {"method": method, "args": args, "xid": xid, "ack": 0, "epoch": None}
        try:
            self._sock.settimeout(longest(self._seconds))
            self._sock.sendall(encode(header, payload))
            deadline = Deadline(self._seconds)
            while True:
                data = deadline.receive(self._sock, 1 << 18)
                if not data:
                    raise NoAnswer("the connection was closed")
                for reply, answered in self._decoder.feed(data):
                    if reply.get("xid") != xid:
                        continue
                    if reply.get("error") is not None:
                        raise RemoteError.from_wire(reply["error"])
                    return check_reply(self._name, method, reply.get("result")), answered
        except (OSError, ValueError) as error:
            raise NoAnswer(f"{method}: {error}") from error

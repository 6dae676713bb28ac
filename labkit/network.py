"""Plain TCP sockets between nodes that know each other by name.

`connect("cs2")` behaves as TCP does: a socket once the other side is there, ConnectionRefusedError when
nobody listens, TimeoutError when nothing answers (a partition swallows the handshake too).
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Protocol

BACKLOG = 1024


class Network(Protocol):
    def listen(self) -> socket.socket:
        """This node's listening socket; peers reach it by the node's name."""
        ...

    def connect(self, name: str, timeout: float | None = None) -> socket.socket:
        """A connected blocking socket to node `name`; `timeout` in seconds of the node's clock.

        OSError as TCP gives it: ConnectionRefusedError, TimeoutError; LookupError for an unknown name.
        """
        ...


def open_listener() -> socket.socket:
    """A listening socket on a free loopback port."""
    return socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)


class DirectNetwork:
    """Peers on this machine without a harness: `ports` finds a name's port, `announce` tells our own."""

    def __init__(self, ports: Callable[[str], int], announce: Callable[[int], None]) -> None:
        self._ports = ports
        self._announce = announce

    def listen(self) -> socket.socket:
        listener = open_listener()
        self._announce(listener.getsockname()[1])
        return listener

    def connect(self, name: str, timeout: float | None = None) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", self._ports(name)), timeout=timeout)
        sock.settimeout(None)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

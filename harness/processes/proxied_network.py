"""A node's labkit.network.Network under the harness: every connection goes through the proxy.

The node shows the proxy its token, which says which node it is, and the name it wants; the proxy answers with one
byte once the other side is connected or known to be down, and with nothing while a partition lies between.
After that byte the connection is a plain one.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable

from labkit.clock import Clock
from labkit.network import open_listener

TOKEN_SIZE = 16
CONNECTED, REFUSED, UNKNOWN = b"\x00", b"\x01", b"\x02"


class ProxiedNetwork:
    def __init__(self, proxy_port: int, token: bytes, clock: Clock, announce: Callable[[int], None]) -> None:
        self._proxy = ("127.0.0.1", proxy_port)
        self._token = token
        self._clock = clock
        self._announce = announce

    def listen(self) -> socket.socket:
        listener = open_listener()
        self._announce(listener.getsockname()[1])
        return listener

    def connect(self, name: str, timeout: float | None = None) -> socket.socket:
        wanted = name.encode()
        if not 0 < len(wanted) < 256:
            raise LookupError(f"{name!r} is no node's name")
        sock = socket.create_connection(self._proxy)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.sendall(self._token + bytes([len(wanted)]) + wanted)
            if not self._clock.wait_readable(sock, timeout):
                raise TimeoutError(errno.ETIMEDOUT, f"no answer from {name}")
            answer = sock.recv(1)
            if answer == UNKNOWN:
                raise LookupError(f"there is no node {name!r}")
            if answer != CONNECTED:
                raise ConnectionRefusedError(errno.ECONNREFUSED, f"{name}: {os.strerror(errno.ECONNREFUSED)}")
        except BaseException:
            sock.close()
            raise
        return sock

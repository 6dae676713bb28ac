"""A node that has connected to the proxy and not yet been put through. Runs in the proxy's thread.

It shows the token that says who it is and names whom it wants; it hears one byte once the other side is there, so
that refusals and partitions behave as TCP's do.
"""

from __future__ import annotations

import contextlib
import errno
import select
import socket
from typing import TYPE_CHECKING

from harness.processes.proxied_network import CONNECTED, REFUSED, TOKEN_SIZE, UNKNOWN

if TYPE_CHECKING:
    from harness.network.proxy import Proxy


class Handshake:
    """A node that has connected and not yet been put through."""

    def __init__(self, proxy: Proxy, sock: socket.socket) -> None:
        self._proxy = proxy
        self._sock = sock
        self._hello = bytearray()
        self._ends: tuple[str, str] | None = None
        self._server: socket.socket | None = None
        proxy.watch(sock.fileno(), select.EPOLLIN, self._read)

    def reconsider(self) -> None:
        if self._ends is not None and self._server is None:
            self._put_through(*self._ends)

    def close(self) -> None:
        for sock in (self._sock, self._server):
            if sock is not None and sock.fileno() >= 0:
                self._proxy.unwatch(sock.fileno())
                sock.close()
        self._proxy.drop_handshake(self)

    def _read(self, _: int) -> None:
        try:
            data = self._sock.recv(512)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._hello += data
        size = TOKEN_SIZE + 1 + (self._hello[TOKEN_SIZE] if len(self._hello) > TOKEN_SIZE else 0)
        sender = self._proxy.resolve(bytes(self._hello[:TOKEN_SIZE]))
        if not data or len(self._hello) > size or (len(self._hello) >= TOKEN_SIZE and sender is None):
            self.close()
        elif len(self._hello) == size > TOKEN_SIZE + 1 and sender is not None:
            self._ends = (sender, self._hello[TOKEN_SIZE + 1 :].decode("utf-8", "replace"))
            self._put_through(*self._ends)

    def _put_through(self, sender: str, receiver: str) -> None:
        # Both ways must be open, as for the packets of a TCP handshake.
        if self._proxy.blocked(sender, receiver) or self._proxy.blocked(receiver, sender):
            return
        try:
            port = self._proxy.target(receiver)
        except LookupError:
            self._refuse(UNKNOWN)
            return
        if port is None:
            self._refuse(REFUSED)
            return
        self._server = socket.socket()
        self._server.setblocking(False)
        self._server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        code = self._server.connect_ex(("127.0.0.1", port))
        if code == 0:
            self._connected(0)
        elif code == errno.EINPROGRESS:
            self._proxy.watch(self._server.fileno(), select.EPOLLOUT, self._connected)
        else:
            self._refuse(REFUSED)

    def _connected(self, _: int) -> None:
        assert self._server is not None and self._ends is not None
        self._proxy.unwatch(self._server.fileno())
        if self._server.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0:
            self._refuse(REFUSED)
            return
        try:
            self._sock.send(CONNECTED)
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            self.close()
            return
        self._proxy.unwatch(self._sock.fileno())
        self._proxy.drop_handshake(self)
        self._proxy.join(*self._ends, self._sock, self._server)

    def _refuse(self, answer: bytes) -> None:
        with contextlib.suppress(OSError):
            self._sock.send(answer)
        self.close()

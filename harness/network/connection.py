"""A connection through the proxy: two sockets and the pipe in each direction between them. In the proxy's thread."""

from __future__ import annotations

import select
import socket
from typing import TYPE_CHECKING

from harness.network.frame import REPLY, REQUEST
from harness.network.pipe import Pipe

if TYPE_CHECKING:
    from harness.network.proxy import Proxy


class Connection:
    def __init__(
        self,
        proxy: Proxy,
        number: int,
        sender: str,
        receiver: str,
        client: socket.socket,
        server: socket.socket,
    ) -> None:
        self.proxy = proxy
        self.number = number
        self.open = True
        self.requests = Pipe(self, REQUEST, sender, receiver, client, server)
        self.replies = Pipe(self, REPLY, receiver, sender, server, client)
        self.interest(client)
        self.interest(server)

    def interest(self, sock: socket.socket) -> None:
        """Tell epoll what we want of a socket: it is the source of one pipe and the sink of the other."""
        if not self.open:
            return
        reading, writing = (
            (self.requests, self.replies) if sock is self.requests.source else (self.replies, self.requests)
        )
        events = (0 if reading.out or reading.ended else select.EPOLLIN) | (
            select.EPOLLOUT if writing.out else 0
        )

        def handle(happened: int) -> None:
            if happened & select.EPOLLOUT:
                writing.flush()
            if happened & ~select.EPOLLOUT and self.open:
                if reading.ended:
                    self.close()  # a broken socket, not merely a finished one
                else:
                    reading.read()

        self.proxy.watch(sock.fileno(), events, reading.read_event if not writing.out else handle)

    def ended(self) -> None:
        if self.requests.finished and self.replies.finished:
            self.close()

    def hang_up(self, name: str) -> None:
        """A node is gone, and this may be a connection of it: pass on what it has sent and that nothing more will come."""
        for pipe in (self.requests, self.replies):
            if pipe.sender == name:
                pipe.drain()

    def reconsider(self) -> None:
        self.requests.finish()
        self.replies.finish()

    def close(self) -> None:
        if self.open:
            self.open = False
            for sock in (self.requests.source, self.replies.source):
                self.proxy.unwatch(sock.fileno())
                sock.close()
            self.proxy.drop_connection(self)

"""A test as a node of its own: it speaks whatever bytes it likes to the others, through the proxy.

    tester = RawPeer(cluster.network)
    with tester.connect("server") as server:
        server.send(b"rubbish")                                   # any bytes
        server.request("add", {"key": "k"}, xid=(7, 1))           # a frame, made by the harness's codec
        header, payload = server.receive()
        reply = server.call("add", {"key": "k"}, xid=(7, 2))      # both, skipping replies to other xids

Its frames are in the journal under its name, and faults may be aimed at it. `listen` and `accept` make it a server,
such as a scripted stub. Patience is seconds (harness/patience.py); who is silent for longer has failed, with a LabFailure that says so.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections import deque
from collections.abc import Mapping
from types import TracebackType
from typing import Any, cast

from harness.failures import HarnessFault, LabFailure, TooBusy
from harness.network.actors import poll_of
from harness.network.frame import Decoder, encode
from harness.network.network import Network
from harness.patience import Deadline, longest
from harness.processes.proxied_network import TOKEN_SIZE, ProxiedNetwork
from labkit.clock import SystemClock
from labkit.protocol import HELLO

PATIENCE = 10.0
CHUNK = 1 << 18


class RawPeer:
    """A name among the nodes, without a process."""

    def __init__(self, network: Network, name: str = "tester") -> None:
        proxy = network.proxy
        with contextlib.suppress(LookupError):
            proxy.target(name)
            raise HarnessFault(f"there is a node {name!r} already")
        token = os.urandom(TOKEN_SIZE)
        proxy.introduce(name, token)
        self.name = name
        self._proxy = proxy
        self._network = network
        self._connections = ProxiedNetwork(
            proxy.port, token, SystemClock(), lambda port: proxy.set_port(name, port)
        )
        self._listener: socket.socket | None = None

    def connect(self, node: str, patience: float = PATIENCE) -> RawConnection:
        """A connection to `node`."""
        try:
            return RawConnection(self._connections.connect(node, longest(patience)), node, self._network)
        except OSError as error:
            raise LabFailure(f"{node} takes no connections: {error}") from error

    def listen(self) -> None:
        """Be somebody others can connect to, from now on."""
        if self._listener is None:
            self._listener = self._connections.listen()

    def close(self) -> None:
        """Listen no more. Connections stay as they are."""
        if self._listener is not None:
            self._proxy.set_port(self.name, None)
            self._listener.close()
            self._listener = None

    def accept(self, patience: float = PATIENCE) -> RawConnection:
        """The next connection somebody made to this peer. `listen` first."""
        if self._listener is None:
            raise HarnessFault(f"{self.name} does not listen")
        self._network.actors.await_readable(self._listener, Deadline(patience))
        self._listener.settimeout(longest(patience))
        try:
            sock, _ = self._listener.accept()
        except TimeoutError as error:
            raise LabFailure(f"nobody connected to {self.name} within {patience:g} s of real time") from error
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return RawConnection(sock, "the other side", self._network)


class RawConnection:
    """Bytes and frames to and from `node`. Used by one thread at a time."""

    def __init__(self, sock: socket.socket, node: str, network: Network | None = None) -> None:
        self.node = node
        self._network = network
        self._sock = sock
        self._decoder = Decoder()
        self._frames: deque[tuple[dict[str, Any], bytes]] = deque()
        self._asked = ""  # how a failure names the last request

    def __enter__(self) -> RawConnection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def send(self, data: bytes, patience: float = PATIENCE) -> None:
        self._sock.settimeout(longest(patience))
        try:
            self._sock.sendall(data)
        except TimeoutError as error:
            raise LabFailure(f"{self.node} takes no more bytes") from error
        except OSError as error:
            raise LabFailure(f"{self.node} broke the connection: {error}") from error

    def send_frame(self, header: Mapping[str, Any], payload: bytes = b"") -> None:
        self.send(encode(dict(header), payload))

    def request(
        self,
        method: str,
        args: Mapping[str, Any] | None = None,
        *,
        xid: tuple[int, int],
        ack: int = 0,
        epoch: int | None = None,
        payload: bytes = b"",
    ) -> None:
        """Send a request; best effort unless it names an epoch."""
        header = {"method": method, "args": dict(args or {}), "xid": list(xid), "ack": ack, "epoch": epoch}
        self._asked = f"; the last request to it was {method}"
        self.send_frame(header, payload)

    def receive(self, patience: float = PATIENCE) -> tuple[dict[str, Any], bytes]:
        """The next frame: header and payload."""
        deadline = Deadline(patience)
        while not self._frames:
            data = self._receive_some(deadline)
            if data is None:
                raise LabFailure(
                    f"{self.node} sent no whole frame within {patience:g} s of real time{self._asked}"
                )
            if not data:
                raise LabFailure(f"{self.node} closed the connection instead of sending a frame{self._asked}")
            try:
                self._frames.extend(self._decoder.feed(data))
            except ValueError as error:
                raise LabFailure(f"what {self.node} sent is no frame: {error}") from error
        return self._frames.popleft()

    def readable(self, seconds: float) -> bool:
        """Whether there is something to receive, if need be after so many seconds of patience."""
        return bool(self._frames) or self._arrived(seconds)

    def reply(self, xid: tuple[int, int], patience: float = PATIENCE) -> tuple[dict[str, Any], bytes]:
        """The next reply to `xid`; others are thrown away."""
        while True:
            header, payload = self.receive(patience)
            if header.get("xid") == list(xid):
                return header, payload

    def call(
        self,
        method: str,
        args: Mapping[str, Any] | None = None,
        *,
        xid: tuple[int, int],
        ack: int = 0,
        epoch: int | None = None,
        payload: bytes = b"",
    ) -> dict[str, Any]:
        """Send a request and wait for its reply's header."""
        self.request(method, args, xid=xid, ack=ack, epoch=epoch, payload=payload)
        return self.reply(xid)[0]

    def hello(self, client: int = 1) -> int:
        """The epoch the server is in."""
        reply = self.call(HELLO, xid=(client, 0))
        match reply.get("result"):
            case {"epoch": int(epoch)}:
                return epoch
            case _:
                raise LabFailure(f'{self.node} did not answer {HELLO} with {{"epoch": int}}', seen=reply)

    def closed(self, patience: float = PATIENCE) -> bool:
        """Wait for the other side to close or break the connection; False when it has not."""
        deadline = Deadline(patience)
        while data := self._receive_some(deadline):
            pass
        return data is not None

    def finish(self) -> None:
        """Send no more; the other side sees the end of the stream."""
        with contextlib.suppress(OSError):  # the other side may be gone
            self._sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._sock.close()

    def _receive_some(self, deadline: Deadline) -> bytes | None:
        """Some bytes, b"" at the end of the stream, None when the deadline has passed."""
        try:
            if self._network is not None:
                self._network.actors.await_readable(self._sock, deadline)
            return deadline.receive(self._sock, CHUNK)
        except TimeoutError:
            return None
        except TooBusy:
            if self._network is None or not self._network.hopeless(self._arrived):
                raise
            return None
        except OSError:
            return b""

    def _arrived(self, seconds: float) -> bool:
        """Whether there are bytes to take, if need be after so many seconds of patience."""
        deadline = Deadline(seconds)
        if self._network is not None:
            self._network.actors.await_readable(self._sock, deadline)
        return bool(poll_of(self._sock.fileno()).poll(1000 * max(deadline.left, 0.0)))


def code_of(reply: dict[str, Any]) -> Any:
    """The code of the error that a reply holds; None if it holds none."""
    error = reply.get("error")
    return cast("dict[str, Any]", error).get("code") if isinstance(error, dict) else None

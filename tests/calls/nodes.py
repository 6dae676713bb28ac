"""What the tests of lab 1's reference stand on: nodes in this process, and peers that follow a script."""

from __future__ import annotations

import random
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from labkit import Context
from labkit.clock import SystemClock
from labkit.disk import OsDisk
from labkit.errors import (
    RemoteError,
)
from labkit.network import DirectNetwork
from labkit.protocol import HELLO

ROOT = Path(__file__).resolve().parents[2] / "solutions" / "01_rpc"


CLOCK = SystemClock()


MEGABYTE = random.Random(0).randbytes(1024 * 1024)


def forget_rpc() -> None:
    for name in [name for name in sys.modules if name == "rpc" or name.startswith("rpc.")]:
        del sys.modules[name]


def eventually(condition: Callable[[], bool], what: str, seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.002)


class Node:
    """Nodes of one process, real sockets between them."""

    def __init__(self, lab: SimpleNamespace, directory: Path) -> None:
        self.lab = lab
        self.directory = directory
        self.ports: dict[str, int] = {}
        self.made: list[Any] = []
        self.pool = ThreadPoolExecutor(16)
        self.starts = 0

    def context(self, name: str) -> Context:
        self.starts += 1
        network = DirectNetwork(self.ports.__getitem__, lambda port: self.ports.__setitem__(name, port))
        rng = random.Random(f"{name} {self.starts}")
        return Context(name, {}, CLOCK, OsDisk(self.directory / name), network, rng)

    def server(self, handlers: dict[str, Callable[..., Any]], name: str = "server") -> Any:
        server = self.lab.rpc.Server(self.context(name), handlers)
        server.start()
        self.made.append(server.stop)
        return server

    def client(self, **policy: Any) -> Any:
        client = self.lab.rpc.Client(self.context("client"), self.lab.rpc.RetryPolicy(**policy))
        self.made.append(client.close)
        return client

    def stream(self, name: str = "server") -> Any:
        """A connection for requests written by hand."""
        stream = self.lab.stream.FrameStream(self.context("raw").network.connect(name), CLOCK)
        self.made.append(stream.close)
        return stream

    def ask(self, stream: Any, method: str = "count", client: int = 7, **fields: Any) -> None:
        seq = fields.pop("seq", 1)
        header = {"method": method, "args": {}, "xid": [client, seq], "ack": 0, "epoch": None, **fields}
        stream.send(self.lab.wire.encode(header), CLOCK.now() + 5)

    def answer(self, stream: Any) -> dict[str, Any]:
        frame = stream.receive(CLOCK.now() + 5)
        assert frame is not None, "the connection was closed"
        return frame[0]

    def epoch(self, name: str = "server") -> int:
        stream = self.stream(name)
        self.ask(stream, HELLO, client=1, seq=1)
        return self.answer(stream)["result"]["epoch"]


class Script:
    """A server whose every answer the test writes itself."""

    def __init__(self, nodes: Node, name: str = "server") -> None:
        self.nodes = nodes
        self.listener = nodes.context(name).network.listen()
        nodes.made.append(self.listener.close)
        self.listener.settimeout(5)

    def accept(self) -> Any:
        sock, _ = self.listener.accept()
        sock.settimeout(None)
        stream = self.nodes.lab.stream.FrameStream(sock, CLOCK)
        self.nodes.made.append(stream.close)
        return stream

    def next(self, stream: Any, epoch: int = 5) -> Any:
        """The next request that is no hello, with its `payload`; a hello is answered with `epoch`."""
        while True:
            frame = stream.receive(CLOCK.now() + 5)
            assert frame is not None, "the client closed the connection"
            header, payload = frame
            request = SimpleNamespace(**header, payload=payload)
            request.client, request.seq = request.xid
            if request.method != HELLO:
                return request
            self.reply(stream, request, {"epoch": epoch})

    def reply(self, stream: Any, request: Any, value: Any) -> None:
        self.reply_to(stream, request.xid, value)

    def reply_to(self, stream: Any, xid: Sequence[int], value: Any) -> None:
        outcome = {"error": value.to_wire()} if isinstance(value, RemoteError) else {"result": value}
        stream.send(self.nodes.lab.wire.encode({"xid": xid, **outcome}))


class Counter:
    """A handler that counts its runs, and can be held while it runs."""

    def __init__(self) -> None:
        self.runs = 0
        self.entered = threading.Event()
        self.hold = threading.Event()
        self.hold.set()
        self._lock = threading.Lock()

    def __call__(self) -> int:
        with self._lock:
            self.runs += 1
            value = self.runs
        self.entered.set()
        assert self.hold.wait(10)
        return value


def echo(value: Any = None, payload: Any = b"") -> Any:
    from rpc import Reply

    return Reply(value, payload)


def start(nodes: Node, client: Any, *args: Any, **kwargs: Any) -> Future[Any]:
    return nodes.pool.submit(client.call, *args, **kwargs)

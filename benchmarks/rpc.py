"""The reference RPC layer, at most once, against raw blocking sockets and against other libraries.

    python -m benchmarks.rpc [--json FILE]

Null calls carry one small argument there and back over one connection; bulk calls carry 1 MB. Everything runs on one
core, client and server in processes of their own, so that what is measured is work and not the scheduler's luck.
"""

from __future__ import annotations

import itertools
import random
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.children import Start, servers
from benchmarks.ratios import Ratio, finish, interleave, median_ratio, pin
from benchmarks.rpc_peers import PEERS
from harness.network.frame import encode
from harness.processes.imports import WorkspaceFinder, import_package
from harness.workspace import Workspace
from labkit import Context
from labkit.clock import SystemClock
from labkit.disk import OsDisk
from labkit.network import DirectNetwork

ROUNDS = 9
NULL_CALLS = 3000
BULK_CALLS = 100
BULK = 1_000_000
THREADS = 8
MILLION = 1_000_000
WARM = 100_000  # calls after which a server has all the memory it needs


def main() -> None:
    pin(-1)
    rpc = reference()
    with servers() as start:
        pid, port = start(lambda report: serve(rpc, report))
        client = rpc.Client(context(lambda name: port, lambda port: None))
        ratios = [
            *null_calls(start, client),
            *bulk_calls(start, client),
            threads(client),
            memory(client, pid),
        ]
    absent = ", ".join(peer.name for peer in PEERS if not peer.installed)
    finish("rpc", ratios, [f"absent: {absent} (pip install -e '.[bench]')"] if absent else [])


# ---- the reference


def reference() -> Any:
    roots = {"rpc": str(Workspace.solution().roots["rpc"])}
    sys.meta_path.insert(0, WorkspaceFinder(roots))
    return import_package("rpc", roots)


def context(ports: Callable[[str], int], announce: Callable[[int], None]) -> Context:
    return Context(
        name="node",
        config={},
        clock=SystemClock(),
        disk=OsDisk(Path(tempfile.gettempdir())),
        network=DirectNetwork(ports, announce),
        rng=random.Random(),
    )


def serve(rpc: Any, report: Callable[[int], None]) -> None:
    block = bytes(BULK)

    def echo(value: Any = None) -> Any:
        return value

    def put(payload: Any = b"") -> int:
        return len(payload)

    def get() -> Any:
        return rpc.Reply(None, block)

    rpc.Server(context(lambda name: 0, report), {"echo": echo, "put": put, "get": get}).start()
    threading.Event().wait()


# ---- null calls


def null_calls(start: Start, client: Any) -> list[Ratio]:
    """Calls a second: the reference against raw sockets and every library that is here."""
    installed = [peer for peer in PEERS if peer.installed]
    raw = connect(start(serve_raw)[1])
    frame = encode(
        {"method": "echo", "args": {"value": 1}, "xid": [1 << 62, 17], "ack": 16, "epoch": 1 << 62}
    )

    def ping() -> None:
        raw.sendall(frame)
        raw.recv(1 << 16)

    sides: dict[str, Callable[[], float]] = {
        "raw": lambda: rate(ping, 2 * NULL_CALLS),
        "reference": lambda: rate(lambda: client.call("server", "echo", {"value": 1}), NULL_CALLS),
    }
    for peer in installed:
        call = peer.connect(start(peer.serve)[1])
        sides[peer.name] = lambda call=call, peer=peer: rate(call, peer.calls)
    measured = interleave(sides, ROUNDS)

    def against(name: str, label: str, target: float) -> Ratio:
        ours, theirs = measured["reference"], measured[name]
        detail = f"{statistics.median(ours):,.0f} against {statistics.median(theirs):,.0f} calls/s"
        return Ratio(label, median_ratio(ours, theirs), target, detail)

    return [
        against("raw", "null call / raw ping-pong", 0.55),
        *(against(peer.name, f"null call / {peer.name}", peer.target) for peer in installed),
    ]


def serve_raw(report: Callable[[int], None]) -> None:
    """Echoes what comes, to one peer after the other."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        report(listener.getsockname()[1])
        while True:
            sock, _ = listener.accept()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while data := sock.recv(1 << 16):
                sock.sendall(data)


# ---- bulk


def bulk_calls(start: Start, client: Any) -> list[Ratio]:
    """MB a second of 1 MB payloads, against a stream that nobody answers."""
    sink = connect(start(serve_sink)[1])
    block = bytes(BULK)

    def stream() -> float:
        begun = time.perf_counter()
        for _ in range(BULK_CALLS):
            sink.sendall(block)
        sink.recv(1)  # all of it has arrived
        return BULK_CALLS * BULK / 1e6 / (time.perf_counter() - begun)

    measured = interleave(
        {
            "stream": stream,
            "put": lambda: rate(lambda: client.call("server", "put", payload=block), BULK_CALLS) * BULK / 1e6,
            "get": lambda: rate(lambda: client.call("server", "get"), BULK_CALLS) * BULK / 1e6,
        },
        ROUNDS,
    )
    raw = measured["stream"]
    return [
        Ratio(
            f"1 MB {name} / raw stream",
            median_ratio(measured[name], raw),
            0.7,
            f"{statistics.median(measured[name]):,.0f} against {statistics.median(raw):,.0f} MB/s",
        )
        for name in ("put", "get")
    ]


def serve_sink(report: Callable[[int], None]) -> None:
    """Reads one measurement's bytes, says so with one byte, and reads on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        report(listener.getsockname()[1])
        sock, _ = listener.accept()
        buffer = memoryview(bytearray(BULK))
        while True:
            left = BULK_CALLS * BULK
            while left:
                left -= sock.recv_into(buffer[: min(left, BULK)])
            sock.sendall(b".")


# ---- threads and memory


def threads(client: Any) -> Ratio:
    """Eight threads of one client share the core that one had alone: how much do they lose to each other?"""

    def call() -> object:
        return client.call("server", "echo", {"value": 1})

    def together() -> float:
        many = [threading.Thread(target=lambda: rate(call, NULL_CALLS // THREADS)) for _ in range(THREADS)]
        begun = time.perf_counter()
        for one in many:
            one.start()
        for one in many:
            one.join()
        return NULL_CALLS // THREADS * THREADS / (time.perf_counter() - begun)

    measured = interleave({"one": lambda: rate(call, NULL_CALLS), "together": together}, ROUNDS)
    one, many = measured["one"], measured["together"]
    detail = f"{statistics.median(many):,.0f} against {statistics.median(one):,.0f} calls/s"
    return Ratio(f"{THREADS} threads of one client / one", median_ratio(many, one), 0.8, detail)


def memory(client: Any, server: int) -> Ratio:
    """The server's memory after a million calls, against that after the first hundred thousand."""
    sizes: list[float] = []
    for calls in (WARM, MILLION - WARM):
        rate(lambda: client.call("server", "echo", {"value": 1}), calls)
        sizes.append(resident(server))
    early, late = sizes
    detail = f"{late / 1e6:.1f} against {early / 1e6:.1f} MB"
    return Ratio("server's memory, a million calls / 100,000", late / early, 1.05, detail, at_most=True)


def resident(pid: int) -> float:
    status = Path("/proc", str(pid), "status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmRSS:"))
    return float(line.split()[1]) * 1024


# ---- small things


def rate(call: Callable[[], object], calls: int) -> float:
    """Calls a second."""
    begun = time.perf_counter()
    for _ in itertools.repeat(None, calls):
        call()
    return calls / (time.perf_counter() - begun)


def connect(port: int) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


if __name__ == "__main__":
    main()

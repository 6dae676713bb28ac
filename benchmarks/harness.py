"""What the ground costs: crashing and starting nodes, and passing frames through the proxy.

    python -m benchmarks.harness [--json FILE]

The issue's figures are for a machine that starts an interpreter with the kit's imports in 60 ms and does a blocking
ping-pong of small messages in 15 µs; as ratios against these two they hold anywhere.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.ratios import Ratio, finish, interleave, median_ratio, pin
from harness.cluster import Cluster
from harness.network.frame import PREFIX, decode_header, encode
from harness.network.proxy import Proxy
from harness.processes.proxied_network import TOKEN_SIZE
from harness.processes.session import KIT
from harness.processes.virtual_time import TimePage
from harness.workspace import Workspace

ROUNDS = 11
PINGS = 3000
STREAM = 256 * 1024 * 1024
PIECE = 1024 * 1024
INTERPRETER = 60.0  # ms, of the machine the figures were set for
PING = 15.0  # µs, of that machine


def main() -> None:
    finish("harness", [*nodes(), *proxy()])


# ---- nodes


def nodes() -> list[Ratio]:
    """Crash and restart, and ten nodes up, against a fresh interpreter that imports the same."""
    with Cluster(Workspace({}, "none"), seed=1) as cluster:
        names = [f"n{number}" for number in range(10)]
        for name in names:
            cluster.add(name, "idle")
        cluster.start(*names)

        def restart() -> float:
            return statistics.median(timed(lambda: cluster.restart("n0")) for _ in range(9))

        def ten_up() -> float:
            for name in names:
                cluster.crash(name)
            return timed(lambda: cluster.start(*names))

        measured = interleave({"fresh": fresh_interpreter, "restart": restart, "ten": ten_up}, ROUNDS)
    fresh = measured["fresh"]
    return [
        against(
            measured["restart"], fresh, "crash + restart / fresh interpreter", 5.0 / INTERPRETER, 1e3, "ms"
        ),
        against(measured["ten"], fresh, "ten nodes up / fresh interpreter", 100.0 / INTERPRETER, 1e3, "ms"),
    ]


def fresh_interpreter() -> float:
    code = f"import sys; sys.path.insert(0, {str(KIT)!r}); import harness.processes.zygote"
    return timed(lambda: subprocess.run([sys.executable, "-I", "-c", code], check=True))


# ---- the proxy


def proxy() -> list[Ratio]:
    """Round trips and throughput through the proxy, against a direct connection and a plain forwarder."""
    pin(-1)  # everything on one core: what is measured is work, not the scheduler's placement
    children: list[int] = []
    try:
        echo = child(children, echo_server)
        plain = child(children, lambda report: forwarder(report, echo))
        aware = child(children, lambda report: frame_proxy(report, echo))
        direct_sock, plain_sock = connect(echo), connect(plain)
        aware_sock = connect(aware)
        aware_sock.sendall(b"a" * TOKEN_SIZE + b"\x01b")
        assert aware_sock.recv(1) == b"\x00"
        measured = interleave(
            {
                "direct": lambda: ping(direct_sock),
                "proxied": lambda: ping(aware_sock),
                "plain MB/s": lambda: stream(plain_sock),
                "proxy MB/s": lambda: stream(aware_sock),
            },
            ROUNDS,
        )
    finally:
        for pid in children:
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    added = [one - other for one, other in zip(measured["proxied"], measured["direct"], strict=True)]
    speed = median_ratio(measured["proxy MB/s"], measured["plain MB/s"])
    return [
        against(added, measured["direct"], "added by the proxy / round trip", 40.0 / PING, 1e6, "µs"),
        Ratio(
            "proxy / plain forwarder, 1 MB frames",
            speed,
            0.8,
            f"{statistics.median(measured['proxy MB/s']):.0f} against {statistics.median(measured['plain MB/s']):.0f} MB/s",
        ),
    ]


def ping(sock: socket.socket) -> float:
    """Seconds a small frame takes there and back."""
    request = encode({"method": "echo", "args": {}, "xid": [1234567890123, 17], "ack": 16, "epoch": 99})

    def rounds() -> None:
        for _ in range(PINGS):
            sock.sendall(request)
            sock.recv(1 << 16)

    return timed(rounds) / PINGS


def stream(sock: socket.socket) -> float:
    """MB/s of frames with 1 MB of payload to a server that only counts them."""
    frame = encode({"method": "data", "args": {}, "xid": [1, 1], "ack": 0, "epoch": None}, bytes(PIECE))
    pieces = STREAM // PIECE
    sock.sendall(encode({"method": "swallow", "bytes": len(frame) * pieces, "xid": [1, 2]}))
    sock.recv(1 << 16)

    def all_of_it() -> None:
        for _ in range(pieces):
            sock.sendall(frame)
        sock.recv(1 << 16)

    return STREAM / 1e6 / timed(all_of_it)


def echo_server(report: Callable[[int], None]) -> None:
    """Echoes every frame; after a "swallow" frame it reads that many bytes before it answers again."""
    listener = socket.create_server(("127.0.0.1", 0))
    report(listener.getsockname()[1])
    buffer = bytearray(PIECE)
    while True:
        sock, _ = listener.accept()
        if os.fork():
            sock.close()
            continue
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while count := sock.recv_into(buffer):
            sock.sendall(memoryview(buffer)[:count])
            if b"swallow" in buffer[:count]:
                left = int(decode_header(bytes(buffer[PREFIX.size : count]))["bytes"])
                while left:
                    left -= sock.recv_into(buffer, min(left, PIECE))
                sock.sendall(encode({"result": None, "xid": [1, 2]}))
        os._exit(0)


def forwarder(report: Callable[[int], None], target: int) -> None:
    """The least a forwarder can do: one thread and epoll like the proxy, with a buffer of the same size."""
    listener = socket.create_server(("127.0.0.1", 0))
    report(listener.getsockname()[1])
    client, _ = listener.accept()
    server = connect(target)
    peers = {client.fileno(): (client, server), server.fileno(): (server, client)}
    epoll = select.epoll()
    for fd in peers:
        epoll.register(fd, select.EPOLLIN)
    buffer = memoryview(bytearray(256 * 1024))
    while True:
        for fd, _ in epoll.poll():
            source, sink = peers[fd]
            count = source.recv_into(buffer)
            sink.sendall(buffer[:count])


def frame_proxy(report: Callable[[int], None], target: int) -> None:
    """The harness's proxy, alone in a process."""
    with tempfile.TemporaryDirectory() as directory:
        made = Proxy(TimePage(Path(directory, "time"), create=True))
    made.introduce("a", b"a" * TOKEN_SIZE)
    made.introduce("b", b"b" * TOKEN_SIZE)
    made.set_port("b", target)
    report(made.port)
    signal.pause()


# ---- small things


def child(children: list[int], run: Callable[[Callable[[int], None]], None]) -> int:
    """Fork a process that runs `run(report)`; the port it reports."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, 0)
        run(lambda port: write_all(writer, port))
        os._exit(0)
    children.append(pid)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        return int(pipe.readline())


def write_all(writer: int, port: int) -> None:
    os.write(writer, f"{port}\n".encode())


def connect(port: int) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def against(
    upper: list[float], lower: list[float], name: str, target: float, scale: float, unit: str
) -> Ratio:
    detail = f"{statistics.median(upper) * scale:.2f} against {statistics.median(lower) * scale:.2f} {unit}"
    return Ratio(name, median_ratio(upper, lower), target, detail, at_most=True)


if __name__ == "__main__":
    main()

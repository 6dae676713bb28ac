"""How much of the machine reaches the client: reads, writes, appends, and the memory of a chunkserver.

    python -m benchmarks.data_path [--json FILE]

The reference's chunkservers and RPC layer, on plain sockets, against the same bytes moved by the least code that
can move them. Reads and writes send 1 MB, as the GFS paper's clients did.

Where something is written, disks are directories in memory (/dev/shm) where there is such a thing: what a sync costs
is for `grader.py measure lab03` to show, not for this. What is read comes from an ordinary file, out of the system's
page cache as in GFS (§2.3): memory file systems keep pages one by one, and copying from them takes twice as long.

Small appends are compared with null RPCs twice: with those of one caller and one server, which find their code in the
core's caches, and with the same six RPCs, arguments and bytes included, between four processes that do nothing else.
The first says what a client gets, the second what a chunkserver's own work costs.
"""

from __future__ import annotations

import itertools
import os
import random
import socket
import statistics
import struct
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.direct import Cell, rate, reference, resident
from benchmarks.ratios import Ratio, finish, interleave, median_ratio, pin
from labkit import Context

ROUNDS = 9
MEGABYTE = 1 << 20
SERVERS = ("cs1", "cs2", "cs3")
RAW = ("raw1", "raw2", "raw3")
EMPTY, LONE = ("empty1", "empty2", "empty3"), "null"
READERS = 4
PREPARED = 32  # MB that are there to be read
RPCS_PER_APPEND = 6  # three pushes along the chain, append, and two applies
STREAMED = 1 << 30
WARM = 256 << 20  # more than the buffer, after which a server's memory should stand still
LIMITS = {"lease": 1e6, "heartbeat": 1e6}  # no master is there to renew leases
SIZE = struct.Struct("q")

T = TypeVar("T")

PAPER = (
    "GFS paper (§6.1, 19 machines): 1 reader 0.80 of its network's limit, 16 readers 0.75; "
    "1 writer 0.50 of the limit of writing three copies, 16 writers about 0.5; 1 appender about 0.5 of one link."
)


def main() -> None:
    pin(0, 1)
    ratios = [in_a_cell(reads, in_memory=False), in_a_cell(writes), in_a_cell(steady_memory)]
    pin(-1)  # small messages on one core: what is measured is work, not where the scheduler puts it
    ratios += in_a_cell(small_appends)
    finish("data path", ratios, [PAPER])


def in_a_cell(measure: Callable[[Cell], T], *, in_memory: bool = True) -> T:
    memory = Path("/dev/shm")
    with (
        tempfile.TemporaryDirectory() as directory,
        tempfile.TemporaryDirectory(dir=memory if in_memory and memory.is_dir() else None) as disks,
    ):
        cell = Cell(Path(directory), Path(disks), LIMITS)
        try:
            return measure(cell)
        finally:
            cell.stop()


# ---- 1 MB


def reads(cell: Cell) -> Ratio:
    """Reads by several readers from three replicas, against raw sockets."""
    start_servers(cell)
    prepare(cell)
    readers = [cell.worker(f"reader{number}", reader) for number in range(READERS)]
    raw_readers = [cell.worker(f"raw reader{number}", raw_reader) for number in range(READERS)]
    measured = interleave(
        {"raw reads": lambda: rate(raw_readers, 60), "reads": lambda: rate(readers, 60)}, ROUNDS
    )
    return compared(measured, "reads", "raw reads", "1 MB reads, 4 readers, 3 replicas / raw sockets", 0.6)


def writes(cell: Cell) -> Ratio:
    """Writes to three replicas, against raw sockets and files."""
    start_servers(cell)
    writer, raw_writer = cell.worker("writer", mb_writer), cell.worker("raw writer", raw_chain_writer)
    measured = interleave(
        {"raw writes": lambda: rate([raw_writer], 30), "writes": lambda: rate([writer], 30)}, ROUNDS
    )
    return compared(
        measured, "writes", "raw writes", "1 MB writes to 3 replicas / raw sockets and files", 0.5
    )


def start_servers(cell: Cell) -> None:
    """Chunkservers, and the least code that does the like."""
    for name in SERVERS:
        cell.start(name, reference("chunkserver").start)
    directory = Path(tempfile.mkdtemp(dir=cell.disks))
    for name, following in zip(RAW, (*RAW[1:], None), strict=True):
        cell.start(name, lambda context, following=following: raw_server(context, following, directory))


def compared(
    measured: dict[str, list[float]], one: str, other: str, name: str, target: float, unit: str = "MB/s"
) -> Ratio:
    detail = f"{statistics.median(measured[one]):.0f} against {statistics.median(measured[other]):.0f} {unit}"
    return Ratio(name, median_ratio(measured[one], measured[other]), target, detail)


def prepare(cell: Cell) -> None:
    """Chunk 1 with data for readers on all servers; chunks to write to are made by the writer."""
    user = User(reference("rpc").Client(cell.context("setup")))
    user.make(1)
    for _ in range(PREPARED):
        user.append(1, os.urandom(MEGABYTE))


class User:
    """A client that knows its primary: the calls of lab 4's client without its questions to the master."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._name = f"{random.getrandbits(64):x}"
        self._numbers = itertools.count()

    def make(self, handle: int, *servers: str) -> None:
        names = servers or SERVERS
        for name in names:
            self._call(name, "create_chunk", {"handle": handle, "version": 1})
        until = time.monotonic() + 1e5
        args = {"handle": handle, "version": 1, "until": until, "secondaries": list(names[1:])}
        self._call(names[0], "grant_lease", args)

    def append(self, handle: int, data: bytes, *servers: str) -> None:
        first, data_id = self._push(data, servers)
        args = {"handle": handle, "version": 1, "data_id": data_id}
        self._client.call(first, "append", args)

    def read(self, server: str, handle: int, offset: int) -> None:
        args = {"handle": handle, "offset": offset, "length": MEGABYTE}
        assert len(self._call(server, "read", args).payload) == MEGABYTE

    def _push(self, data: bytes, servers: tuple[str, ...]) -> tuple[str, str]:
        first, *chain = servers or SERVERS
        data_id = f"{self._name}-{next(self._numbers)}"
        args = {"data_id": data_id, "offset": 0, "total": len(data), "chain": chain}
        self._client.call(first, "push", args, data, at_most_once=False)
        return first, data_id

    def _call(self, server: str, method: str, args: dict[str, Any]) -> Any:
        return self._client.call(server, method, args, at_most_once=False)


def user(context: Context) -> User:
    return User(reference("rpc").Client(context))


def reader(context: Context) -> Callable[[], object]:
    reading = user(context)
    rng = random.Random(context.name)
    return lambda: reading.read(rng.choice(SERVERS), 1, rng.randrange(PREPARED) * MEGABYTE)


def mb_writer(context: Context) -> Callable[[], object]:
    """Appends of 1 MB, each written to three replicas; a chunk holds 64 of them."""
    writing, data = user(context), os.urandom(MEGABYTE)
    turns = itertools.count()

    def write() -> None:
        turn = next(turns)
        handle = 100 + turn // 63
        if turn % 63 == 0:
            writing.make(handle)
        writing.append(handle, data)

    return write


def raw_server(context: Context, following: str | None, directory: Path) -> None:
    """The least code that moves the bytes.

    Sends 1 MB from somewhere in 32 MB of memory when it gets a negative size; else takes so many bytes, passes them on
    as they come, and syncs them in a file that grows.
    """
    listener = context.network.listen()
    stored = memoryview(os.urandom(PREPARED * MEGABYTE))
    rng = random.Random(context.name)

    def serve(sock: socket.socket) -> None:
        buffer = memoryview(bytearray(256 * 1024))
        onward = context.network.connect(following) if following else None
        fd, end = os.open(directory / f"{context.name}-{sock.fileno()}", os.O_RDWR | os.O_CREAT), 0
        with sock:
            while message := sock.recv(SIZE.size):
                size = SIZE.unpack(message)[0]
                if size < 0:
                    at = rng.randrange(PREPARED) * MEGABYTE
                    sock.sendall(stored[at : at + MEGABYTE])
                    continue
                if onward:
                    onward.sendall(message)
                at = 0
                while at < size:
                    count = sock.recv_into(buffer[: min(len(buffer), size - at)])
                    if onward:
                        onward.sendall(buffer[:count])
                    os.pwrite(fd, buffer[:count], end + at)
                    at += count
                os.fdatasync(fd)
                end += size
                if onward:
                    onward.recv(1)
                sock.sendall(b"!")

    def accept() -> None:
        while True:
            sock, _ = listener.accept()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=serve, args=(sock,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


def raw_reader(context: Context) -> Callable[[], object]:
    socks = [context.network.connect(name) for name in RAW]
    rng = random.Random(context.name)
    buffer = memoryview(bytearray(MEGABYTE))

    def read() -> None:
        sock = rng.choice(socks)
        sock.sendall(SIZE.pack(-1))
        at = 0
        while at < MEGABYTE:
            at += sock.recv_into(buffer[at:])

    return read


def raw_chain_writer(context: Context) -> Callable[[], object]:
    sock, data = context.network.connect(RAW[0]), os.urandom(MEGABYTE)

    def write() -> None:
        sock.sendall(SIZE.pack(MEGABYTE))
        sock.sendall(data)
        sock.recv(1)

    return write


# ---- 1 KB


def small_appends(cell: Cell) -> list[Ratio]:
    """Appends of 1 KB times the RPCs each takes, against RPCs that do nothing, from one caller and along a chain."""
    for name in SERVERS:
        cell.start(name, reference("chunkserver").start)
    for name in (LONE, *EMPTY):
        cell.start(name, empty_server)
    null, same = cell.worker("null caller", null_caller), cell.worker("empty appender", empty_appender)
    appender = cell.worker("appender", kb_appender)
    measured = interleave(
        {
            "null": lambda: rate([null], 2000),
            "same": lambda: RPCS_PER_APPEND * rate([same], 300),
            "appends": lambda: RPCS_PER_APPEND * rate([appender], 300),
        },
        ROUNDS,
    )
    name = f"1 KB appends x {RPCS_PER_APPEND} RPCs"
    return [
        compared(measured, "appends", "null", f"{name} / null RPCs", 0.5, "RPCs/s"),
        compared(measured, "appends", "same", f"{name} / the same RPCs with nothing to do", 0.5, "RPCs/s"),
    ]


def empty_server(context: Context) -> None:
    """Takes and sends what a chunkserver takes and sends when it appends, and does nothing else."""
    client = reference("rpc").Client(context)

    def push(data_id: str, offset: int, total: int, chain: list[str], payload: Any = b"") -> dict[str, Any]:
        if chain:
            args = {"data_id": data_id, "offset": offset, "total": total, "chain": chain[1:]}
            client.call(chain[0], "push", args, payload, at_most_once=False)
        return {}

    def append(handle: int, version: int, data_id: str) -> dict[str, Any]:
        mutation = {"handle": handle, "version": version, "serial": 1, "offset": 1 << 20}
        for name in EMPTY[1:]:
            client.call(name, "apply", {**mutation, "data_id": data_id, "overwrite": False})
        return {"offset": 1 << 20}

    def apply(**mutation: Any) -> dict[str, Any]:
        return {}

    handlers = {"null": lambda: None, "push": push, "append": append, "apply": apply}
    reference("rpc").Server(context, handlers).start()


def null_caller(context: Context) -> Callable[[], object]:
    client = reference("rpc").Client(context)
    return lambda: client.call(LONE, "null")


def empty_appender(context: Context) -> Callable[[], object]:
    appending, data = user(context), os.urandom(1024)
    return lambda: appending.append(2, data, *EMPTY)


def kb_appender(context: Context) -> Callable[[], object]:
    appending, data = user(context), os.urandom(1024)
    appending.make(2)
    return lambda: appending.append(2, data)


# ---- 1 GB


def steady_memory(cell: Cell) -> Ratio:
    """A chunkserver's memory after 1 GB has been pushed to it and appended, against what it was after 256 MB."""
    pid = cell.start("lone", reference("chunkserver").start)
    streaming = User(reference("rpc").Client(cell.context("streaming")))
    data = os.urandom(MEGABYTE)
    warm = 0
    for turn in range(STREAMED // MEGABYTE):
        handle = 1000 + turn // 63
        if turn % 63 == 0:
            streaming.make(handle, "lone")
        streaming.append(handle, data, "lone")
        if turn == WARM // MEGABYTE:
            warm = resident(pid)
    after = resident(pid)
    detail = f"{after / 1e6:.0f} MB after 1 GB, {warm / 1e6:.0f} MB after 256 MB"
    return Ratio("memory after 1 GB / after 256 MB", after / warm, 1.1, detail, at_most=True)


if __name__ == "__main__":
    main()

"""Lab 3 measured: small files against a large one, chain against star, and what checksums and syncs cost."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from harness.cluster import Cluster
from harness.measurements.table import Run, Table
from harness.network.faults import Aim, Slow
from harness.network.frame import REQUEST
from harness.stubs.cell import Call, Cell
from labkit.checksum import crc32c
from labkit.disk import OsDisk

KB, MB = 1024, 1024 * 1024
LIMITS = {"chunk_size": 4 * MB, "block_size": 64 * KB}  # a record has at most 1 MB
PIECE = 32 * KB


def tables(run: Run) -> Iterator[Table]:
    yield small_against_large(run)
    yield chain_against_star(run)
    yield checksums_and_syncs(run)


@contextmanager
def cell_of(run: Run, count: int) -> Generator[Cell]:
    """`count` chunkservers under a scripted master."""
    with ExitStack() as stack:

        def make_cluster(**options: Any) -> Cluster:
            return stack.enter_context(run.make_cluster(**options))

        yield Cell(make_cluster, count, LIMITS)


# ---- many small files against one large file


def small_against_large(run: Run) -> Table:
    """The same bytes in records of one size, as many files with a chunk each, and as one file."""
    files, size = (10, 4 * KB) if run.quick else (100, 16 * KB)
    rows = [row(run, "many files", files, size, 1), row(run, "one file", 1, size, files)]
    return Table(
        f"{files * size // KB} KB in pieces of {size // KB} KB on three replicas",
        ("as", "chunks", "RPCs", "of the master", "seconds", "bytes of checksums and versions"),
        rows,
        "A file of its own costs a chunk on each server (an RPC to make it, another for its lease) and a log of its "
        "own, whatever it holds; that is why GFS has chunks of 64 MB and a master that keeps them all in memory (§2.5).",
    )


def row(run: Run, name: str, files: int, size: int, pieces: int) -> tuple[str | int | float, ...]:
    with cell_of(run, 3) as cell:
        made = cell.cluster
        data = os.urandom(size)
        begun = time.perf_counter()
        for _ in range(files):
            chunk = cell.chunk()
            for _ in range(pieces):
                cell.append(chunk, data)
        seconds = time.perf_counter() - begun
        requests = [
            frame
            for frame in made.network.frames(kind=REQUEST)
            if frame.method not in ("register", "heartbeat", "rpc.hello")
        ]
        stored = sum(file.stat().st_size for name in cell.names for file in made.nodes[name].disk.iterdir())
        asked = sum(frame.sender == "master" for frame in requests)
        return (name, files, len(requests), asked, round(seconds, 2), stored - 3 * files * pieces * size)


# ---- chain against star


def chain_against_star(run: Run) -> Table:
    """How long data takes to all servers when every sender has one slow line out."""
    one_copy = 0.5 if run.quick else 2.0
    rows: list[tuple[str | int | float, ...]] = []
    for count in (1, 3) if run.quick else (1, 2, 3, 5):
        with cell_of(run, count) as cell:
            made = cell.cluster
            data = os.urandom(512 * KB)
            made.network.add(Slow(len(data) / one_copy, aim=Aim("push", times=None)))
            ways: list[float] = []
            for chains in ([cell.names], [(name,) for name in cell.names]):
                begun = made.now()
                push(cell, data, chains)
                ways.append(round((made.now() - begun) / one_copy, 2))
            rows.append((count, *ways))
    return Table(
        f"512 KB pushed over lines that take {one_copy:g} s for them",
        ("servers", "chain, in times of one copy", "star, in times of one copy"),
        rows,
        "In a chain each line carries the data once, and pieces follow each other along it: about 1 + (R - 1) pieces' "
        "time. In a star the client's line carries it R times (§3.2).",
    )


def push(cell: Cell, data: bytes, chains: list[tuple[str, ...]]) -> None:
    """All pieces along all chains, one more at a time than there are servers, so that every line is busy."""
    work = iter([(chain, offset) for offset in range(0, len(data), PIECE) for chain in chains])
    ids = {chain: f"{os.urandom(8).hex()}" for chain in chains}

    def one_after_the_other() -> dict[str, object]:
        for chain, offset in work:
            cell.push_piece(ids[chain], offset, data[offset : offset + PIECE], len(data), *chain)
        return {}

    for call in [Call(one_after_the_other, "a push", cell.cluster) for _ in range(len(cell.names) + 1)]:
        call.result(120.0)


# ---- checksums and syncs


def checksums_and_syncs(run: Run) -> Table:
    """Time per append on one server, and the parts of it that are checksums and syncs, measured beside it."""
    count = 10 if run.quick else 60
    rows: list[tuple[str | int | float, ...]] = []
    with cell_of(run, 1) as cell:
        for size in (1 * KB, 64 * KB, MB):
            data = os.urandom(size)
            times = min(count, 3 * MB // size)
            chunk = cell.chunk()
            pushed = iter([cell.push(data) for _ in range(times)])
            appends = per_time(lambda chunk=chunk, pushed=pushed: cell.ask_append(chunk, next(pushed)), times)
            reads = per_time(lambda chunk=chunk, size=size: cell.read("cs1", chunk, 0, size), times)
            checksum = per_time(lambda data=data: crc32c(data), times)
            sync = per_time(syncing(cell.cluster.nodes["cs1"].directory, data), times)
            rows.append(
                (f"{size // KB} KB", *(round(one * 1e6, 1) for one in (appends, reads, checksum, sync)))
            )
    return Table(
        "What an append and a read of one replica take, and their parts, in µs",
        ("size", "append", "read", "CRC32C of the bytes", "a write of them, with fdatasync"),
        rows,
        "A checksum costs little beside moving the bytes. A sync costs the same for few bytes as for many: small "
        "appends pay for it, large ones hardly; an append here needs two, one for the data and one for the log.",
    )


def per_time(work: Callable[[], object], times: int) -> float:
    """Median seconds of one."""
    taken: list[float] = []
    for _ in range(times):
        begun = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begun)
    return sorted(taken)[len(taken) // 2]


def syncing(directory: Path, data: bytes) -> Callable[[], object]:
    file = OsDisk(directory / "measured").open(f"{len(data)}", create=True)

    def write() -> None:
        file.append(data)
        file.sync()

    return write

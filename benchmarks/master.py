"""The master at scale: memory, recovery, lookups, creations, and what a checkpoint costs those who ask.

    python -m benchmarks.master [--json FILE]

The reference runs outside of the harness, on a real disk and without a proxy. Rates are against a null RPC and a bare
fsync of the same rounds. All is pinned to one core, but for creations: there the master and the bare fsync have one
core, and the clients another, as they would in a cluster.
"""

from __future__ import annotations

import importlib
import os
import random
import signal
import statistics
import sys
import tempfile
import threading
import time
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.children import Serve, Start, servers
from benchmarks.ratios import Ratio, finish, interleave, median_ratio, pin
from harness.workspace import KIT
from labkit import Context, Limits
from labkit.clock import SystemClock
from labkit.disk import OsDisk
from labkit.network import DirectNetwork

ROUNDS = 7
MANY_ROUNDS = 21  # of what is short, since the speed of a disk changes from moment to moment
MILLION = 1_000_000
PER_FILE = 10
SERVERS = 30
VERSIONS = 8
RECORDS = 10_000
CALLS = 1500
CREATIONS = 100
TOGETHER = 8
MASTER, CLIENTS = -1, 0  # cores: the last, and the first, which on a machine with one core is the same

for root in ("01_rpc", "02_gfs_master"):
    sys.path.insert(0, str(KIT / "solutions" / root))


def main() -> None:
    cores = os.sched_getaffinity(0)
    pin(MASTER)
    with tempfile.TemporaryDirectory(prefix="benchmark-master-") as made, servers() as start:
        directory = Path(made)
        ratios = [*scale(directory, start), *creations(directory, start, cores)]
    finish("master", ratios)


# ---- a million chunks


def scale(directory: Path, start: Start) -> list[Ratio]:
    in_child(lambda: fill(directory / "large", MILLION))
    in_child(lambda: fill(directory / "half", MILLION // 2))
    in_child(lambda: fill(directory / "small", 1000))
    measured = interleave(
        {name: lambda name=name: in_child(lambda: recover(directory / name)) for name in ("half", "large")}, 3
    )
    memory = in_child(lambda: resident(directory / "large")) / MILLION
    _, null = start(null_server)
    _, small = start(master(directory / "small"))
    _, large = start(master(directory / "large", report=True))
    clients = {name: Caller(port) for name, port in (("null", null), ("small", small), ("large", large))}
    rates = interleave(
        {
            "null": lambda: clients["null"].rate("nothing", lambda n: {}),
            "small": lambda: clients["small"].rate("lookup", lambda n: where(n, 1000)),
            "large": lambda: clients["large"].rate("lookup", lambda n: where(n, MILLION)),
        },
        ROUNDS,
    )
    tails = interleave(
        {
            "quiet": lambda: clients["large"].p99(MILLION),
            "checkpoint": lambda: clients["large"].p99(MILLION, checkpoint=True),
        },
        3,
    )
    recovery = statistics.median(measured["large"])
    return [
        Ratio("resident bytes a chunk / 250", memory / 250, 1.0, f"{memory:.0f} B", at_most=True),
        Ratio("recovery / 2 s", recovery / 2, 1.0, f"{recovery:.2f} s with 10,000 records", at_most=True),
        Ratio(
            "recovery of twice the chunks",
            median_ratio(measured["large"], measured["half"]),
            2.5,
            f"{recovery:.2f} against {statistics.median(measured['half']):.2f} s",
            at_most=True,
        ),
        compare("lookup / null RPC", rates["large"], rates["null"], 0.5, "calls/s"),
        compare("lookup, 1,000,000 / 1,000 chunks", rates["large"], rates["small"], 0.8, "calls/s"),
        Ratio(
            "p99 lookup, checkpoint / quiet",
            median_ratio(tails["checkpoint"], tails["quiet"]),
            3.0,
            f"{statistics.median(tails['checkpoint']):.2f} against {statistics.median(tails['quiet']):.2f} ms",
            at_most=True,
        ),
    ]


def fill(directory: Path, chunks: int) -> float:
    """A checkpoint of so many chunks, and RECORDS in the log behind it."""
    checkpoint: Any = importlib.import_module("gfs_master.checkpoint")
    chunk: Any = importlib.import_module("gfs_master.chunks").Chunk
    operations: Any = importlib.import_module("gfs_master.operations")
    oplog: Any = importlib.import_module("gfs_master.oplog")
    state: Any = importlib.import_module("gfs_master.state").State()
    rng = random.Random(7)
    groups = [tuple(f"cs{number}" for number in sorted(rng.sample(range(SERVERS), 3))) for _ in range(1000)]
    # As the state keeps them: what is equal once.
    kinds = [
        chunk(version, version, told, primary)
        for version in range(1, VERSIONS + 1)
        for told in groups
        for primary in told
    ]
    for number in range(100):
        state.namespace.put_directory(f"/{number:02}")
    for number in range(chunks // PER_FILE):
        first = number * PER_FILE + 1
        state.namespace.put_file(name(number), array("Q", range(first, first + PER_FILE)))
        for handle in range(first, first + PER_FILE):
            state.chunks[handle] = rng.choice(kinds)
    state.next_handle = chunks + 1
    disk = OsDisk(directory)
    checkpoint.write(disk, checkpoint.take(state), 1)
    log = oplog.OpLog(disk)
    list(log.recover(1))
    for number in range(RECORDS):
        log.append(operations.to_record(operations.CreateFile(f"/new{number}")))
    log.wait_durable(log.end)
    return 0.0


def metadata(directory: Path) -> Any:
    return importlib.import_module("gfs_master.metadata").Metadata(context(directory))


def recover(directory: Path) -> float:
    importlib.import_module("gfs_master.metadata")
    begun = time.perf_counter()
    metadata(directory)
    return time.perf_counter() - begun


def resident(directory: Path) -> float:
    """Bytes that recovery and the reports of all chunkservers add."""
    importlib.import_module("gfs_master.metadata")
    before = memory()
    made = metadata(directory)
    report_all(made)
    return float(memory() - before)


def report_all(made: Any) -> None:
    for number in range(SERVERS):
        server = f"cs{number}"
        with made.section() as now:
            made.servers.register(server, now, 0, "r", now)
            held = {
                int(str(h)): chunk.version for h, chunk in made.state.chunks.items() if server in chunk.told
            }
            made.replicas.report(server, held, now, started=True)
            made.replicas.changed.clear()  # as the master's look-around does every second


def memory() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


# ---- creations


def creations(directory: Path, start: Start, cores: set[int]) -> list[Ratio]:
    _, port = start(master(directory / "created"))
    callers = [Caller(port) for _ in range(TOGETHER)]
    file = os.open(directory / "synced", os.O_RDWR | os.O_CREAT)

    def on(core: int, work: Callable[[], float]) -> Callable[[], float]:
        def run() -> float:
            os.sched_setaffinity(0, cores)
            pin(core)
            return work()

        return run

    rates = interleave(
        {
            "fsync": on(MASTER, lambda: fsyncs(file)),
            # One client and the master take turns on a core, as in benchmarks.rpc; eight have work for another.
            "one": on(MASTER, lambda: create(callers[:1])),
            "eight": on(CLIENTS, lambda: create(callers)),
        },
        MANY_ROUNDS,
    )
    return [
        compare("creations of 1 client / fsync", rates["one"], rates["fsync"], 0.5, "a second"),
        compare("creations of 8 clients / fsync", rates["eight"], rates["fsync"], 1.0, "a second"),
    ]


def fsyncs(file: int) -> float:
    begun = time.perf_counter()
    for _ in range(CREATIONS):
        os.write(file, bytes(60))
        os.fdatasync(file)
    return CREATIONS / (time.perf_counter() - begun)


def create(callers: list[Caller]) -> float:
    threads = [threading.Thread(target=caller.create) for caller in callers]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return CREATIONS * len(callers) / (time.perf_counter() - begun)


# ---- processes


class Caller:
    """A client of the server at `port`."""

    def __init__(self, port: int) -> None:
        self._client: Any = importlib.import_module("rpc").Client(
            context(Path(tempfile.gettempdir()), server=port)
        )
        self._id = os.urandom(4).hex()
        self._made = 0

    def ask(self, method: str, args: dict[str, Any], *, once: bool = False) -> Any:
        return self._client.call("server", method, args, at_most_once=once).value

    def rate(self, method: str, args: Callable[[int], dict[str, Any]]) -> float:
        begun = time.perf_counter()
        for number in range(CALLS):
            self.ask(method, args(number))
        return CALLS / (time.perf_counter() - begun)

    def p99(self, chunks: int, *, checkpoint: bool = False) -> float:
        """Milliseconds; with `checkpoint`, of the questions while one is being made."""
        if checkpoint:
            self.ask("checkpoint", {})
        taken: list[float] = []
        while len(taken) < CALLS or (checkpoint and len(taken) % 200 == 0 and self.ask("busy", {})["busy"]):
            begun = time.perf_counter()
            self.ask("lookup", where(len(taken), chunks))
            taken.append(time.perf_counter() - begun)
        return statistics.quantiles(taken, n=100)[98] * 1e3

    def create(self) -> None:
        for _ in range(CREATIONS):
            self._made += 1
            self.ask("create", {"path": f"/{self._id}-{self._made}"}, once=True)


def null_server(tell: Callable[[int], None]) -> None:
    rpc: Any = importlib.import_module("rpc")
    rpc.Server(context(Path(tempfile.gettempdir()), tell), {"nothing": dict}).start()
    signal.pause()


def master(directory: Path, *, report: bool = False) -> Serve:
    """A master that also answers `checkpoint`, which begins one, and `busy`, whether one is being made."""

    def serve(tell: Callable[[int], None]) -> None:
        ports: list[int] = []
        made: Any = importlib.import_module("gfs_master").Master(context(directory, ports.append))
        running: list[threading.Thread] = []

        def checkpoint() -> dict[str, Any]:
            running[:] = [threading.Thread(target=made._metadata.checkpoint)]
            running[0].start()
            return {}

        made._server._handlers["checkpoint"] = checkpoint
        made._server._handlers["busy"] = lambda: {"busy": any(one.is_alive() for one in running)}
        if report:
            report_all(made._metadata)
        made.start()
        tell(*ports)  # only now: it listens before, but nobody is to measure what comes before
        signal.pause()

    return serve


def context(directory: Path, tell: Callable[[int], None] = lambda port: None, server: int = 0) -> Context:
    """A node's: a plain directory and plain sockets; no checkpoint but when asked for, and silence kills no server."""
    network = DirectNetwork({"server": server}.__getitem__, tell)
    limits = Limits(log_limit=1 << 30, dead_after=1e6)
    return Context(
        "node", {}, SystemClock(), OsDisk(directory), network, random.Random(os.urandom(8)), limits
    )


def in_child(work: Callable[[], float]) -> float:
    """What `work` returns in a process of its own."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writer, repr(work()).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        value = float(pipe.read())
    os.waitpid(pid, 0)
    return value


def name(number: int) -> str:
    return f"/{number % 100:02}/file{number}"


def where(number: int, chunks: int) -> dict[str, Any]:
    return {"path": name(number * 7919 % (chunks // PER_FILE)), "index": number % PER_FILE}


def compare(what: str, upper: list[float], lower: list[float], target: float, unit: str) -> Ratio:
    detail = f"{statistics.median(upper):,.0f} against {statistics.median(lower):,.0f} {unit}"
    return Ratio(what, median_ratio(upper, lower), target, detail)


if __name__ == "__main__":
    main()

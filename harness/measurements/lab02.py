"""Lab 2: what one master costs. Its memory, its CPU, and what stands still when it dies (the disadvantages of §2.4)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.cluster import Cluster
from harness.measurements.table import Run, Table
from harness.network.asker import Asker, NoAnswer
from harness.stubs.master_cell import MasterCell
from labkit.errors import RemoteError

PAGE = 4096
STEPS = (0, 3, 6, 9)  # doublings of a hundred files by snapshots
QUESTIONS = 2000
OUTAGES = (5.0, 30.0, 120.0)  # virtual seconds until somebody starts the master again
TICK = 1.0  # virtual seconds between two tries


def tables(run: Run) -> Iterator[Table]:
    yield growth(run)
    yield failure(run)
    yield outage(run)


def growth(run: Run) -> Table:
    """Memory and answers a second as the number of files grows."""
    steps = STEPS[:2] if run.quick else STEPS
    rows: list[tuple[str | int | float, ...]] = []
    with run.make_cluster() as cluster:
        cell = MasterCell(cluster, servers=3)
        cell.ask("mkdir", path="/s0")
        for number in range(100):
            cell.chunk(f"/s0/{number:02}")
        done = 0
        for step in steps:
            for level in range(done, step):
                cell.ask("mkdir", path=f"/s{level + 1}")
                for half in "ab":
                    cell.ask("snapshot", source=f"/s{level}", target=f"/s{level + 1}/{half}")
            done = step
            files = 100 * (2 ** (step + 1) - 1)
            rows.append(
                (files, resident(cluster) / 1e6, rate(cluster, QUESTIONS // (10 if run.quick else 1)))
            )
    return Table(
        "One master: memory and speed as files grow",
        ("files", "resident MB", "lookups/s of one client"),
        rows,
        "Lookups stay as fast, because a file is found by its name in one table. Memory grows with every file, for it is all "
        "in one machine: that, and the one CPU that answers everybody, is where GFS ran out.",
    )


def failure(run: Run) -> Table:
    """Who can do what while the master is dead, and for how long."""
    with run.make_cluster() as cluster:
        cell = MasterCell(cluster, servers=3)
        cluster.add("shadow", "shadow", {"master": "master"})
        cluster.start("shadow")
        cell.chunk("/f")
        cluster.until(lambda: shadow_shows(cluster), "that the shadow shows the file")
        cluster.crash("master")
        refused = sum(not answers(cluster, "master") for _ in range(20))
        read = sum(answers(cluster, "shadow") for _ in range(20))
        died = time.perf_counter()
        cluster.start("master")
        back = time.perf_counter() - died
    return Table(
        "The master dies: 20 questions to it and to its shadow, until somebody starts it again",
        ("asked", "answered", "what ends it"),
        [
            ("master", 20 - refused, f"a person; then recovery takes {back * 1e3:.0f} ms"),
            ("shadow", read, "nothing: it goes on, a little late, and cannot change anything"),
        ],
        "Nobody takes the dead master's place by itself: all changes wait until it is started again, while names can still be "
        "read from a shadow. A lease that ran is waited for besides, 60 s at most.",
    )


def outage(run: Run) -> Table:
    """For how long nobody can write to a chunk when the master dies, in virtual seconds."""
    rows: list[tuple[str | int | float, ...]] = []
    for away in OUTAGES[:2] if run.quick else OUTAGES:
        for primary_dies in (False, True):
            with run.make_cluster() as cluster:
                rows.append(
                    (away, "dies too" if primary_dies else "lives", *stopped(cluster, away, primary_dies))
                )
    return Table(
        "The master dies, is started again after a while, and clients want to write (virtual seconds since it died)",
        ("started after", "the primary", "new files again after", "a lease to write again after"),
        rows,
        "Nothing is created until somebody starts the master. Whoever has a chunk's lease may go on writing until it runs "
        "out, 60 s at most. A primary that lives claims its lease in a heartbeat to the new master; for one that is dead too "
        "the master waits a whole lease from its start, since it may only be out of reach. All of it is the price of one "
        "master; later systems let a group of masters agree instead.",
    )


def stopped(cluster: Cluster, away: float, primary_dies: bool) -> tuple[float, float]:
    """How long after the master's death a file can be made, and a lease be had."""
    cell = MasterCell(cluster, servers=3)
    handle = cell.chunk("/f")
    primary = cell.server(cell.ask("lease", handle=handle)["primary"])
    cluster.crash("master")
    died = cluster.now()
    while cluster.now() < died + away:
        cluster.advance(TICK)
    cluster.start("master")
    living = [server for server in cell.servers if not (primary_dies and server is primary)]
    if primary_dies:
        primary.stop()
    made = leased = 0.0
    while not (made and leased):
        if not made and succeeds(cell, "create", path="/new"):
            made = cluster.now() - died
        if not leased and succeeds(cell, "lease", handle=handle):
            leased = cluster.now() - died
        cluster.advance(TICK)
        for server in living:
            server.heartbeat()
    return round(made, 1), round(leased, 1)


def succeeds(cell: MasterCell, method: str, **args: Any) -> bool:
    try:
        cell.ask(method, **args)
    except RemoteError:
        return False
    return True


def resident(cluster: Cluster) -> int:
    """Bytes of resident memory of the master's process."""
    process = cluster.nodes["master"].process
    assert process is not None
    return int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * PAGE


def rate(cluster: Cluster, questions: int) -> float:
    with Asker(cluster.port("master") or 0) as asker:
        begun = time.perf_counter()
        for number in range(questions):
            asker.ask("lookup", {"path": f"/s0/{number % 100:02}", "index": 0})
        return round(questions / (time.perf_counter() - begun))


def answers(cluster: Cluster, node: str) -> bool:
    port = cluster.port(node)
    if port is None:
        return False
    try:
        with Asker(port) as asker:
            asker.ask("stat", {"path": "/f"})
    except NoAnswer:
        return False
    return True


def shadow_shows(cluster: Cluster) -> bool:
    cluster.advance(5.0)
    time.sleep(0.05)
    with Asker(cluster.port("shadow") or 0) as asker:
        return "/f" in asker.ask("list", {"path": "/"})[0]["paths"]

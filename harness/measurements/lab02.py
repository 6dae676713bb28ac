"""Lab 2: what one master costs. Its memory, its CPU, and what stands still when it dies (the disadvantages of §2.4)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from harness.cluster import Cluster
from harness.measurements.table import Run, Table
from harness.network.asker import Asker, NoAnswer
from harness.stubs.master_cell import MasterCell

PAGE = 4096
STEPS = (0, 3, 6, 9)  # doublings of a hundred files by snapshots
QUESTIONS = 2000


def tables(run: Run) -> Iterator[Table]:
    yield growth(run)
    yield failure(run)


def growth(run: Run) -> Table:
    """Memory and answers a second as the number of files grows."""
    steps = STEPS[:2] if run.quick else STEPS
    rows: list[tuple[str | int | float, ...]] = []
    with run.make_cluster(rate=1.0) as cluster:
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
    with run.make_cluster(rate=1.0) as cluster:
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

"""What lab 4's stricter promises cost: messages, latency, and how long nobody can write or read when a primary dies."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from typing import Any

from harness import records
from harness.cluster import Cluster
from harness.gfs import LEASED, Gfs
from harness.measurements.table import Cell, Run, Table
from harness.network.frame import REQUEST

LOG = "/log"
MEASURES = ("all or none", "no duplicates", "recovery")
VARIANTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("GFS", ()),
    ("all or none", MEASURES[:1]),
    ("… and no duplicates", MEASURES[:2]),
    ("… and recovery", MEASURES),
    ("… and leased reads", (*MEASURES, LEASED)),
)
BACKGROUND = ("heartbeat", "register", "rpc.hello")


def tables(run: Run) -> Iterator[Table]:
    """One table: each measure on top of those before it."""
    yield Table(
        "The price of a stricter promise (lab 4 part E)",
        (
            "promise",
            "requests per append",
            "append, ms",
            "requests per scan",
            "scan, ms",
            "no append after a crash for, s",
            "no scan after a crash for, s",
        ),
        [(name, *_price(run, strict)) for name, strict in VARIANTS],
        "Requests and milliseconds (real time, median) are of one client on its own. The last two columns are virtual seconds "
        "between the death of the primary and the first append, then of another primary and the first scan: with leased "
        "reads a reader waits as writers do, without them any replica will do.",
    )


def _price(run: Run, strict: tuple[str, ...]) -> tuple[Cell, ...]:
    count = 5 if run.quick else 40
    with run.make_cluster() as cluster:
        gfs = Gfs(cluster, strict=strict)
        gfs.begin(LOG)
        first: dict[str, Any] = {"path": LOG, "body": records.body(9, 1, 50), "writer": 9, "sequence": 1}
        cluster.call("c1", "append", **first)
        appended = _timed(
            cluster, "append", [{**first, "sequence": number} for number in range(2, count + 2)]
        )
        cluster.call("c1", "scan", path=LOG)
        scanned = _timed(cluster, "scan", [{"path": LOG, "fresh": False}] * count)
        return *appended, *scanned, _outage(gfs, "append"), _outage(gfs, "scan")


def _timed(cluster: Cluster, command: str, calls: list[dict[str, Any]]) -> tuple[Cell, Cell]:
    """Requests and milliseconds per call."""
    before = len(_requests(cluster))
    seconds: list[float] = []
    for args in calls:
        begun = time.perf_counter()
        cluster.call("c1", command, **args)
        seconds.append(time.perf_counter() - begun)
    requests = len(_requests(cluster)) - before
    return round(requests / len(calls), 1), round(1000 * statistics.median(seconds), 2)


def _outage(gfs: Gfs, what: str) -> float:
    """Virtual seconds from the crash of the primary to the end of the next operation; it is rebooted afterwards."""
    primary = gfs.roles()["primary"]
    crashed = gfs.cluster.now()
    gfs.crash(primary)
    operation = (
        gfs.workload.append("c2", LOG) if what == "append" else gfs.workload.scan("c1", LOG, fresh=False)
    )
    gfs.finish(operation)
    gfs.cluster.start(primary)
    gfs.settle()
    gfs.finish(gfs.workload.append("c2", LOG))
    return round(operation.completed - crashed, 1)


def _requests(cluster: Cluster) -> list[object]:
    return [frame for frame in cluster.network.frames(kind=REQUEST) if frame.method not in BACKGROUND]

"""What lab 1 lets a student see for himself: the slowest of N, the lock that all need, and the price of a lossy line.

Everything is run: nodes, calls and faults as in the graded tests. The work that calls do is waiting, in real time,
so that the figures do not depend on how many processors there are.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Iterator
from typing import Any

from harness.cluster import Cluster
from harness.measurements.table import Run, Table
from harness.network.faults import Aim, Drop, Sometimes
from harness.network.frame import REPLY, REQUEST, Frame

USUAL = 0.001  # real seconds a handler takes
SLOW = 0.020  # and now and then
SLOW_SHARE = 0.05  # one call in twenty
WORK = 0.010  # real seconds of each call whose share of locked work is varied
SWIFT = 50.0  # virtual seconds per real one where messages are lost: timeouts pass quickly


def tables(run: Run) -> Iterator[Table]:
    yield slowest_of_n(run)
    yield one_lock(run)
    yield lossy_line(run)


def slowest_of_n(run: Run) -> Table:
    """ask_all sends one question to each of N servers; the fold keeps when the last answer came."""
    rounds = 5 if run.quick else 60
    rows: list[tuple[str | int | float, ...]] = []
    for servers in (1, 2) if run.quick else (1, 2, 4, 8, 16):
        with run.make_cluster() as cluster:
            names = [f"s{number}" for number in range(servers)]
            for number, name in enumerate(names):
                cluster.add(name, "work", {"seed": run.seed + number})
            cluster.add("client", "work")
            cluster.start(*names, "client")
            taken = ask(cluster, names, rounds, {"usual": USUAL, "slow": SLOW, "share": SLOW_SHARE})
        rows.append(
            (servers, ms(statistics.median(taken)), ms(statistics.mean(taken)), ms(percentile(taken, 0.95)))
        )
    return Table(
        f"The slowest of N replies; a reply takes {ms(USUAL):g} ms, one in {1 / SLOW_SHARE:.0f} takes {ms(SLOW):g} ms",
        ("servers", "median ms", "mean ms", "95 % within ms"),
        rows,
        "Who waits for all waits for the slowest. What is rare at one server happens in every other round that asks "
        "sixteen, so the mean climbs towards the slow reply although no server has become slower.",
    )


def one_lock(run: Run) -> Table:
    """The same calls from one thread and from many; a part of each handler's time is spent under one lock."""
    threads, calls = (4, 8) if run.quick else (8, 48)
    rows: list[tuple[str | int | float, ...]] = []
    for percent in (0, 100) if run.quick else (0, 10, 25, 50, 75, 100):
        with run.make_cluster() as cluster:
            cluster.add("server", "work")
            cluster.add("client", "work")
            cluster.start("server", "client")
            args = {"seconds": WORK, "locked": percent / 100}
            alone, together = (
                float(cluster.call("client", "spread", server="server", calls=calls, at_once=n, args=args))
                for n in (1, threads)
            )
        rows.append((percent, calls / alone, calls / together, alone / together))
    return Table(
        f"{threads} threads against one, {calls} calls of {ms(WORK):g} ms each",
        ("% under one lock", "calls/s, 1 thread", f"calls/s, {threads} threads", "speed-up"),
        rows,
        f"Without a lock {threads} threads do nearly {threads} times as much. A lock that is held a quarter of the time "
        "already allows no more than four times, however many threads there are; what is behind the lock decides.",
    )


def lossy_line(run: Run) -> Table:
    """At-most-once calls one after the other, while each message, request or reply, is lost with some probability."""
    calls = 10 if run.quick else 150
    rows: list[tuple[str | int | float, ...]] = []
    for percent in (0, 30) if run.quick else (0, 5, 10, 20, 30):
        with run.make_cluster(rate=SWIFT) as cluster:
            cluster.add("server", "rpc", {"serve": True})
            cluster.add("client", "rpc")
            cluster.start("server", "client")
            if percent:
                rng = random.Random(run.seed)
                cluster.network.add(Sometimes(rng, percent / 100, Drop(Aim("add", times=None))))
            before = cluster.now()
            failed = int(
                cluster.call("client", "calls", server="server", method="add", calls=calls, patience=120.0)
            )
            passed = cluster.now() - before
            ran = int(cluster.call("server", "ran").get("x", 0))
            requests = cluster.network.frames("add", REQUEST)
            replies = cluster.network.frames("add", REPLY)
        arrived = [frame for frame in requests if frame.fate == "passed"]
        messages = len(requests) + len(replies)
        rows.append(
            (
                percent,
                len(requests) - len(xids(requests)),
                len(arrived) - len(xids(arrived)),
                ran,
                failed,
                round(100 * 2 * (calls - failed) / messages),
                passed / calls,
            )
        )
    return Table(
        f"{calls} calls, at most once, over a line that loses messages",
        (
            "% lost",
            "retries",
            "duplicates at server",
            "handler runs",
            "gave up",
            "% useful messages",
            "virtual s per call",
        ),
        rows,
        "Retries come from lost requests and lost replies alike; those after a lost reply reach the server as "
        "duplicates, and the handler never runs twice for a call. Some calls that gave up ran all the same, which is "
        "what `definite` False means. Time goes up fastest: each loss costs a whole timeout.",
    )


def ask(cluster: Cluster, servers: list[str], rounds: int, args: dict[str, Any]) -> list[float]:
    """Real seconds until the last of all servers has answered, for each round."""
    return list(cluster.call("client", "rounds", servers=servers, rounds=rounds, args=args, patience=120.0))


def xids(frames: list[Frame]) -> set[object]:
    return {frame.xid for frame in frames}


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def ms(seconds: float) -> float:
    return 1000 * seconds

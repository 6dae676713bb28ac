"""What judging a history costs: a million acknowledged appends by 16 clients on 3 replicas, and how it grows.

    python -m benchmarks.checker [--json FILE]

Everything after parsing counts: the indices, all guarantees, all stricter models, the statistics. Times are CPU
seconds of a fresh process for each measurement, so that memory is that of one history. Beside them stands how long
networkx takes to build one graph with the same orders: a node a record, and its successor on each replica.
"""

from __future__ import annotations

import json
import os
import random
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise

import networkx as nx

from benchmarks.ratios import Ratio, finish, interleave, median_ratio, pin
from harness.checker import check, explain
from harness.history import Append, History, Kind, RecordId, Replica, Segment

APPENDS = 1_000_000
CLIENTS = 16
CHUNK = 64 << 20
SERVERS = ("cs1", "cs2", "cs3")
ROUNDS = 3
SECONDS = 10.0
GIGABYTES = 2.0


def main() -> None:
    pin(-1)
    large = measured_in_a_child(lambda: judge(APPENDS, graph=True))
    sides = {
        "tenth": lambda: judge(APPENDS // 10),
        "whole": lambda: judge(APPENDS),
        "5 clients": lambda: judge(APPENDS // 5, clients=5),
        "100 clients": lambda: judge(APPENDS // 5, clients=100),
        "all known": lambda: judge(APPENDS // 5),
        "10 % unknown": lambda: judge(APPENDS // 5, unknown=0.1),
    }
    rounds = interleave(
        {name: (lambda run=run: measured_in_a_child(run)["check"]) for name, run in sides.items()}, ROUNDS
    )
    bad = measured_in_a_child(lambda: judge(APPENDS // 5, spoil=True))
    seconds = [large["check"], *rounds["whole"]]
    finish(
        "checker",
        [
            Ratio(
                "seconds for a million appends",
                statistics.median(seconds),
                SECONDS,
                "after parsing",
                at_most=True,
            ),
            Ratio(
                "GB of memory, history included",
                large["memory"],
                GIGABYTES,
                f"the history alone {large['history']:.2f}",
                at_most=True,
            ),
            compared("ten times the history", rounds["whole"], rounds["tenth"], 12.0),
            compared("100 clients / 5 clients", rounds["100 clients"], rounds["5 clients"], 1.5),
            compared("10 % unknown / none", rounds["10 % unknown"], rounds["all known"], 1.2),
            Ratio(
                "records in the explanation",
                bad["records"],
                len(SERVERS) + 2,
                "of an inversion far apart",
                at_most=True,
            ),
            Ratio("seconds to explain it", bad["explain"], 1.0, "in words and as text", at_most=True),
        ],
        [
            f"parsing took {large['parse']:.1f} s; plain networkx built the graph of the same orders "
            f"({large['edges']:.0f} edges) in {large['networkx']:.1f} s and found its components in {large['components']:.1f} s"
        ],
    )


def compared(name: str, upper: list[float], lower: list[float], target: float) -> Ratio:
    detail = f"{statistics.median(upper):.2f} against {statistics.median(lower):.2f} s"
    return Ratio(name, median_ratio(upper, lower), target, detail, at_most=True)


def measured_in_a_child(run: Callable[[], dict[str, float]]) -> dict[str, float]:
    """What `run` returns, from a child of this process: none inherits another's memory."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.write(writing, json.dumps(run()).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read()
    _, status = os.waitpid(pid, 0)
    if status:
        sys.exit("a measurement failed")
    return json.loads(answer)


def judge(
    appends: int, *, clients: int = CLIENTS, unknown: float = 0.0, spoil: bool = False, graph: bool = False
) -> dict[str, float]:
    """CPU seconds to parse, check and explain a history, and what else is asked for."""
    begun = time.process_time()
    history = History.parse(lines(appends, clients, unknown))
    numbers = {"parse": time.process_time() - begun, "history": gigabytes()}
    if spoil:
        history = inverted(history)
    begun = time.process_time()
    verdict = check(history)
    numbers |= {"check": time.process_time() - begun, "memory": gigabytes()}
    assert verdict.valid is not spoil, verdict.anomalies[:1] or verdict.reasons
    begun = time.process_time()
    explain(verdict, history)
    numbers["explain"] = time.process_time() - begun
    numbers["records"] = max((len(one.witness.operations) for one in verdict.anomalies), default=0)
    return numbers | (plain_graph(history) if graph else {})


def gigabytes() -> float:
    """The most this process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def plain_graph(history: History) -> dict[str, float]:
    begun = time.process_time()
    graph: nx.DiGraph[str] = nx.DiGraph()
    for replica in history.replicas:
        graph.add_edges_from(pairwise(one.content for one in replica.segments if one.kind is Kind.RECORD))
    built = time.process_time()
    sum(1 for _ in nx.strongly_connected_components(graph))
    return {
        "networkx": built - begun,
        "components": time.process_time() - built,
        "edges": float(graph.number_of_edges()),
    }


def lines(appends: int, clients: int, unknown: float) -> Iterator[str]:
    """A run in which `clients` appends are under way at any time, as a history on file."""
    rng = random.Random(appends)
    yield json.dumps(
        {"type": "meta", "version": 1, "seed": 0, "chunk_size": CHUNK, "record_limit": CHUNK // 4}
        | {"replicas": len(SERVERS), "cache_lifetime": 60.0}
    )
    chunks: list[list[list[tuple[int, int, str, str]]]] = [[[] for _ in SERVERS]]
    place = 0
    for op in range(appends + clients):
        if op < appends:
            size = 1000 + op % 997
            yield (
                f'{{"type":"invoke","op":{op},"client":"c{op % clients}","time":{op},"action":"append",'
                f'"path":"/log","record":"{op % clients}-{op}","size":{size}}}'
            )
        ended = op - clients
        if ended < 0:
            continue
        size = 1000 + ended % 997
        if place + size > CHUNK:
            for tiles in chunks[-1]:
                tiles.append((place, CHUNK - place, "padding", ""))
            chunks.append([[] for _ in SERVERS])
            place = 0
        lost = rng.random() < unknown
        for tiles in chunks[-1]:
            hole = lost and rng.random() < 0.5
            record = f"{ended % clients}-{ended}"
            tiles.append((place, size, "padding", "") if hole else (place, size, "record", record))
        offset = (len(chunks) - 1) * CHUNK + place
        place += size
        result = '"unknown"' if lost else f'"ok","offset":{offset}'
        yield f'{{"type":"complete","op":{ended},"time":{op + 0.5},"outcome":{result},"attempts":1}}'
    for index, replicas in enumerate(chunks):
        yield json.dumps(
            {
                "type": "chunk",
                "path": "/log",
                "index": index,
                "handle": index,
                "version": 1,
                "replicas": SERVERS,
            }
        )
        for server, tiles in zip(SERVERS, replicas, strict=True):
            length = tiles[-1][0] + tiles[-1][1]
            yield json.dumps(
                {
                    "type": "replica",
                    "handle": index,
                    "server": server,
                    "version": 1,
                    "length": length,
                    "segments": tiles,
                }
            )


def inverted(history: History) -> History:
    """The first record and one far behind it change places, on every replica and in what was acknowledged."""
    first = history.appends[0]
    last = next(
        one for one in reversed(history.appends) if one.size == first.size and (one.offset or CHUNK) < CHUNK
    )
    swapped = {first.record: last, last.record: first}

    def append(one: Append) -> Append:
        return replace(one, offset=swapped[one.record].offset) if one.record in swapped else one

    def segment(one: Segment) -> Segment:
        return one._replace(content=swapped[RecordId(one.content)].record) if one.content in swapped else one

    def replica(one: Replica) -> Replica:
        return replace(one, segments=tuple(map(segment, one.segments)))

    return replace(
        history, appends=tuple(map(append, history.appends)), replicas=tuple(map(replica, history.replicas))
    )


if __name__ == "__main__":
    main()

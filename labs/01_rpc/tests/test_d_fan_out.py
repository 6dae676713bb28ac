"""Lab 1 part D: one client, many servers, and what the answers come to together."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from harness.calls import IMPATIENT, Calls
from harness.cluster import Cluster
from harness.failures import LabFailure
from harness.grading import claim, expect
from harness.processes.session import Pending

SERVERS = tuple(f"s{number}" for number in range(1, 9))
GLANCE = 0.05
MANY = 40  # questions, and the third goes wrong


@claim(
    "One client asks many servers at the same time, no more at once than it was told",
    hint="as many threads as calls may be under way, fed by a BoundedQueue from the thread that draws the questions",
    read="labs/01_rpc/README.md#part-d-threads",
)
def test_one_client_asks_many_servers(cluster: Cluster) -> None:
    cluster.add("asker", "threads")
    calls = Calls(cluster, servers=SERVERS, clients=())
    questions: list[list[Any]] = [
        [server, "wait_at_gate", {"gate": "g", "key": server}] for server in SERVERS
    ]
    pending = cluster.begin("asker", "ask_all", questions=questions, at_once=len(SERVERS))
    until_started(
        cluster,
        pending,
        lambda: all(calls.ran(server, server) == 1 for server in SERVERS),
        f"the start of {len(SERVERS)} handlers, at as many servers, at the same time",
    )
    for server in reversed(SERVERS):
        cluster.call(server, "open_gate", name="g")
    outcomes = cluster.result("asker", pending)
    expect(
        sorted(outcomes, key=str) == [[number, 1] for number in range(len(SERVERS))],
        f"{len(SERVERS)} calls to {len(SERVERS)} servers did not each bring their own answer",
        expected="every question once, each with the answer 1",
        seen=outcomes,
    )

    at_once, many = 2, 40
    questions = [["s1", "wait_at_gate", {"gate": "h", "key": f"{number}"}] for number in range(many)]
    pending = cluster.begin("asker", "ask_all", questions=questions, at_once=at_once)

    def ran() -> int:
        counts: dict[str, int] = cluster.call("s1", "ran")
        return sum(counts.get(f"{number}", 0) for number in range(many))

    until_started(cluster, pending, lambda: ran() >= at_once, "the start of two calls at the same time")
    time.sleep(GLANCE)
    asked = cluster.call("asker", "asked")
    expect(
        ran() == at_once and asked <= 2 * at_once + 1,
        f"with at_once={at_once}, and no answer yet, too much was begun",
        expected=f"{at_once} calls under way, and at most {2 * at_once + 1} of {many} questions drawn",
        seen=f"{ran()} calls under way, {asked} questions drawn",
        why="memory and servers are not drowned by whoever has much to ask: that is what the bound is for",
    )
    cluster.call("s1", "open_gate", name="h")
    outcomes = cluster.result("asker", pending)
    expect(len(outcomes) == many, "not every question was answered", expected=many, seen=len(outcomes))

    cluster.crash("s2")
    questions = [[server, "add", {"key": "last"}] for server in SERVERS]
    pending = cluster.begin("asker", "ask_all", questions=questions, at_once=3)
    calls.pass_time(lambda: pending.done, "the end of ask_all with one server down")
    outcomes = sorted(cluster.result("asker", pending), key=str)
    wanted = [[number, "Unreachable" if server == "s2" else 1] for number, server in enumerate(SERVERS)]
    expect(
        outcomes == wanted,
        "one server that is down spoiled the outcomes of the others",
        expected=wanted,
        seen=outcomes,
    )


def until_started(cluster: Cluster, pending: Pending, started: Callable[[], bool], what: str) -> None:
    cluster.until(lambda: pending.done or started(), what, IMPATIENT)
    if pending.done:
        seen = cluster.result("asker", pending)
        raise LabFailure("ask_all returned before its calls were answered", seen=seen)


@claim(
    "No outcome is lost when calls end at the same time",
    hint="total = fold(total, ...) reads, changes and writes: one thread at a time, under a lock",
    read="labs/01_rpc/README.md#part-d-threads",
)
def test_no_update_is_lost(cluster: Cluster) -> None:
    cluster.add("asker", "threads")
    Calls(cluster, clients=())
    number = 8
    seen = cluster.call("asker", "count_all", server="server", calls=number)
    expect(
        seen["total"] == number,
        "an update was lost in a race" if seen["most"] > 1 else "not every call was counted",
        expected=f"{number} calls ended and each was counted: {number}",
        seen=f"{seen['total']}; {seen['most']} folds were under way at the same time",
        why="two threads read the same total, and the one that wrote last wiped out what the other had added",
    )
    expect(
        seen["most"] == 1,
        "folds ran at the same time",
        expected="one at a time, as its docstring promises to whoever writes a fold",
        seen=seen["most"],
    )


@claim(
    "What a fold, a question or a call raises ends ask_all, and comes out of it",
    hint="catch it in the thread where it happens, close the queue to wake the others, join them all, and raise it then",
    read="labs/01_rpc/README.md#part-d-threads",
)
def test_what_goes_wrong_comes_out(cluster: Cluster) -> None:
    cluster.add("asker", "threads")
    calls = Calls(cluster, clients=())
    for where, what in (
        ("fold", "a fold that raises"),
        ("question", "an iterable of questions that raises"),
        ("argument", "a question whose argument cannot be sent"),
    ):
        for at_once in (1, 4):
            pending = cluster.begin(
                "asker", "stumble", server="server", where=where, calls=MANY, at_once=at_once
            )
            calls.pass_time(lambda pending=pending: pending.done, f"the end of ask_all after {what}")
            seen = cluster.result("asker", pending)
            expect(
                seen == "it came out",
                f"ask_all did not pass on what came of {what}, with at_once={at_once}",
                expected="the exception comes out of ask_all, when what was under way has ended",
                seen=seen,
                why="whoever asked believes the total, and knows nothing of the bug",
            )

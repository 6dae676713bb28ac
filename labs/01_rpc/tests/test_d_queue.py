"""Lab 1 part D: coordination. Each command below is a thread of its own in the node."""

from __future__ import annotations

import time
from typing import Any

from harness.calls import IMPATIENT
from harness.cluster import Cluster
from harness.grading import claim, expect
from harness.processes.session import Pending

GLANCE = 0.03  # real seconds in which whoever should wait but does not has gone on


class Queue:
    """The node's queue, and who waits in it."""

    def __init__(self, cluster: Cluster, room: int) -> None:
        self._cluster = cluster
        cluster.call("node", "new_queue", room=room)

    def begin(self, command: str, **args: Any) -> Pending:
        return self._cluster.begin("node", command, **args)

    def ends(self, pending: Pending, wanted: object, what: str) -> None:
        """`pending` ends, with this result."""
        expect(
            self._cluster.comes(pending.wait, IMPATIENT),
            f"{what}: it waits for ever",
            expected=wanted,
            seen=f"nothing within {IMPATIENT:g} s of real time",
            why="who changes the queue has to wake who waits for that change",
        )
        seen = self._cluster.result("node", pending)
        expect(seen == wanted, f"{what}: it went wrong", expected=wanted, seen=seen)

    def waits(self, pending: Pending, what: str) -> None:
        time.sleep(GLANCE)
        expect(not pending.done, f"{what}: it did not wait", seen=pending.said)


@claim(
    "A bounded queue makes producers wait while it is full and consumers while it is empty, until it is closed",
    hint="a condition variable: while (not: if) there is nothing to do, wait; whoever changes that notifies",
    read="labs/01_rpc/README.md#part-d-threads",
)
def test_queue_makes_threads_wait(cluster: Cluster) -> None:
    cluster.add("node", "threads")
    cluster.start("node")
    queue = Queue(cluster, room=2)
    for item in ("a", "b"):
        queue.ends(queue.begin("put", item=item), "put", f"put {item} with room for it")
    third = queue.begin("put", item="c")
    queue.waits(third, "put c into a queue that is full")
    queue.ends(queue.begin("get"), "a", "get from a queue of a, b")
    queue.ends(third, "put", "put c once there is room")
    for item in ("b", "c"):
        queue.ends(queue.begin("get"), item, f"get {item}, the oldest")

    getters = [queue.begin("get") for _ in range(3)]
    for getter in getters:
        queue.waits(getter, "get from an empty queue")
    queue.ends(queue.begin("put", item="d"), "put", "put d while three wait for it")
    cluster.until(
        lambda: any(one.done for one in getters), "the end of one of three gets after a put", IMPATIENT
    )
    time.sleep(GLANCE)
    waiting = [one for one in getters if not one.done]
    expect(
        len(waiting) == 2,
        "one item was put, and more than one get came back",
        expected="two of the three still wait",
        seen=[one.said for one in getters if one.done],
    )
    queue.ends(queue.begin("close"), None, "close")
    for getter in waiting:
        queue.ends(getter, "closed", "get from an empty queue that is closed meanwhile")

    queue = Queue(cluster, room=1)
    queue.ends(queue.begin("put", item="e"), "put", "put e with room for it")
    putters = [queue.begin("put", item="f") for _ in range(2)]
    for putter in putters:
        queue.waits(putter, "put f into a queue that is full")
    queue.ends(queue.begin("close"), None, "close")
    for putter in putters:
        queue.ends(putter, "closed", "put into a full queue that is closed meanwhile")
    queue.ends(queue.begin("get"), "e", "get what was in the queue when it was closed")
    queue.ends(queue.begin("get"), "closed", "get from a closed queue that is empty")
    queue.ends(queue.begin("put", item="g"), "closed", "put into a closed queue")


@claim(
    "Between many producers and consumers no item is lost or comes twice, and nobody waits for ever",
    hint="look again after every wake-up; notify one of each kind, or all, lest the wake-up goes to the wrong one",
    read="labs/01_rpc/README.md#part-d-threads",
)
def test_queue_serves_a_crowd(cluster: Cluster) -> None:
    cluster.add("node", "threads")
    cluster.start("node")
    right = {"lost": 0, "twice": 0, "stuck": 0, "errors": []}
    for producers, consumers, items, room in ((4, 4, 300, 1), (1, 8, 800, 2), (8, 1, 100, 3)):
        seen = cluster.call(
            "node", "crowd", producers=producers, consumers=consumers, items=items, room=room, patience=40.0
        )
        expect(
            seen == right,
            f"{producers} producers and {consumers} consumers at one queue with room for {room} went wrong",
            expected=right,
            seen=seen,
            why="between a wake-up and the lock another thread may come first; a lost wake-up leaves a thread behind",
        )

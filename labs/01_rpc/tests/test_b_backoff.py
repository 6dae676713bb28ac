"""Lab 1 part B: when a request is sent again. Time stands still except where a test moves it, so the times are exact."""

from __future__ import annotations

import time
from typing import Any

from harness.calls import IMPATIENT, Calls
from harness.cluster import Cluster
from harness.grading import claim, expect
from harness.network.faults import Aim
from harness.patience import Deadline

GROWING: dict[str, Any] = {"first_timeout": 8.0, "factor": 4.0, "longest": 40.0, "attempts": 5, "jitter": 0.0}
PAUSES = (8.0, 32.0, 40.0, 40.0)  # what that policy says, from one transmission to the next
JITTERED: dict[str, Any] = {
    "first_timeout": 100.0,
    "factor": 1.0,
    "longest": 100.0,
    "attempts": 2,
    "jitter": 0.5,
}
CALLS = (
    32  # of each client: that all of them draw a time on one side of the middle happens once in 2**32 runs
)
LATE = 0.5  # seconds of patience in which whoever is due has sent, on a machine that is not much too slow
GLANCE = 0.05  # real seconds in which whoever is too early shows it


def sent_by(calls: Calls, client: str, number: int) -> bool:
    return len(calls.requests("add", client=client)) >= number


@claim(
    "An unanswered call is sent again after pauses that grow, up to a longest one",
    hint="attempt n waits min(longest, first_timeout * factor**n) of ctx.clock before the next one",
    read="labs/01_rpc/README.md#part-b-calls-that-may-fail",
)
def test_repeats_come_ever_less_often(cluster: Cluster) -> None:
    calls = Calls(cluster)
    calls.value("echo", at_most_once=False)
    cluster.network.drop(Aim("add", "request", times=None))
    pending = calls.begin("add", at_most_once=False, policy=GROWING)
    cluster.until(lambda: pending.done or sent_by(calls, "client", 1), "the first attempt", IMPATIENT)
    for number, pause in enumerate(PAUSES, 1):
        cluster.advance(pause - 0.5)
        time.sleep(GLANCE)
        expect(
            not pending.done and not sent_by(calls, "client", number + 1),
            f"repeat {number} came too early, or the call ended",
            expected=f"{pause:g} s of virtual time after the request before it; {GROWING}",
            seen=pending.said or f"sent again within {pause - 0.5:g} s",
            why="a server that is slow because there is much to do gets more to do by every repeat",
        )
        cluster.advance(1.0)
        expect(
            comes_within(calls, number + 1, 2 * pause),
            f"repeat {number} did not come in its time",
            expected=f"{pause:g} s of virtual time after the request before it; {GROWING}",
            seen=pending.said or f"nothing within {3 * pause:g} s",
            why="pauses that grow without bound find a server that has recovered far too late",
        )
    outcome = calls.finish(pending)
    expect(
        outcome.get("error") == "CallTimeout" and len(calls.requests("add")) == len(PAUSES) + 1,
        "the call did not end after its last attempt",
        expected=f"CallTimeout after {len(PAUSES) + 1} transmissions",
        seen=outcome,
    )


def comes_within(calls: Calls, number: int, seconds: float) -> bool:
    """Whether the request is sent for the `number`-th time, at the latest when so much more time has passed.

    It should be there already. More time is for a client that looks at the clock only after it has sent, and was
    overtaken by our jump.
    """
    for _ in range(8):
        deadline = Deadline(LATE)
        while not deadline.passed():
            if sent_by(calls, "client", number):
                return True
            time.sleep(0.002)
        calls.cluster.advance(seconds / 8)
    return sent_by(calls, "client", number)


@claim(
    "Clients that failed together do not come back together",
    hint="vary each timeout by up to the fraction jitter, evenly spread, drawn from the rng that the node was given",
    read="labs/01_rpc/README.md#part-b-calls-that-may-fail",
)
def test_clients_do_not_retry_in_step(cluster: Cluster) -> None:
    clients = ("client", "other")
    calls = Calls(cluster, clients=clients)
    cluster.network.drop(Aim("add", "request", times=None))
    for client in clients:
        for number in range(1, CALLS + 1):
            call = calls.begin(
                "add", {"key": str(number)}, client=client, at_most_once=False, policy=JITTERED
            )
            cluster.until(
                lambda client=client, number=number, call=call: call.done or sent_by(calls, client, number),
                "a first attempt",
                IMPATIENT,
            )
            expect(not call.done, "a call ended before anything was sent again", seen=call.said)
    start = cluster.now()
    cluster.advance(49.0)
    time.sleep(GLANCE)
    early = [client for client in clients if sent_by(calls, client, CALLS + 1)]
    expect(
        not early,
        "a repeat came sooner than the jitter allows",
        expected="from 50 to 150 s",
        seen="within 49 s",
    )
    cluster.advance(52.0)  # just past the middle: about half of the calls are due
    cluster.until(
        lambda: any(sent_by(calls, client, CALLS + 1) for client in clients),
        "the repeat of any call",
        IMPATIENT,
    )
    time.sleep(GLANCE)
    cluster.advance(50.0)
    calls.pass_time(
        lambda: all(sent_by(calls, client, 2 * CALLS) for client in clients), "the repeats of all calls"
    )
    soon = {client: repeated_by(calls, client, start + 102.0) for client in clients}
    expect(
        0 < sum(map(len, soon.values())) < len(clients) * CALLS,
        "calls that were sent together are sent again together",
        expected="of calls that wait 100 s, give or take half, some come back before the middle and some after",
        seen=f"{sum(map(len, soon.values()))} of {len(clients) * CALLS} came back before the middle",
        why="a server that failed under the load of all its clients will fail again",
    )
    expect(
        soon["client"] != soon["other"],
        "two clients draw the same jitter, and so retry in step",
        expected="two different choices: ctx.rng is seeded differently for every node",
        seen=f"calls {', '.join(sorted(soon['client'], key=int))} came back before the middle, at both",
    )


def repeated_by(calls: Calls, client: str, time: float) -> set[str]:
    """The calls that were sent for the second time before `time`."""
    repeats = calls.requests("add", client=client)[CALLS:]
    return {frame.header["args"]["key"] for frame in repeats if frame.time < time}

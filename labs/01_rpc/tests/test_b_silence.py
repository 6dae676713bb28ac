"""Lab 1 part B: calls that nobody answers. All of them best effort, so that part C may still be missing."""

from __future__ import annotations

from harness.calls import ONE_BY_ONE, Calls
from harness.cluster import Cluster
from harness.grading import claim, expect
from harness.network.faults import Aim
from harness.network.raw import RawPeer
from harness.outside import sockets

MUCH = 32 << 20  # bytes that all buffers between two nodes together do not hold
GIVEN_UP = 40  # calls


@claim(
    "Silence ends in CallTimeout, whichever message was lost: the client does not say that nothing happened",
    hint="count attempts; after the last one raise CallTimeout, because it was sent and nobody knows",
    read="labs/01_rpc/README.md#part-b-calls-that-may-fail",
)
def test_silence_ends_in_a_timeout(cluster: Cluster) -> None:
    calls = Calls(cluster)
    calls.value("echo", at_most_once=False)
    for kind in ("reply", "request"):
        lost = cluster.network.drop(Aim("add", kind, times=None))
        before, ran = len(calls.requests("add")), calls.ran("x")
        pending = calls.begin("add", at_most_once=False, policy={**ONE_BY_ONE, "attempts": 3})
        cluster.until(
            lambda lost=lost, pending=pending: pending.done or lost.aim.hits > 0, "the first attempt"
        )
        outcome = calls.finish(pending)
        cluster.network.remove(lost)

        sent = len(calls.requests("add")) - before
        expect(
            sent in (2, 3),  # an attempt may end, on a slow machine, while it is still connecting
            "a policy of 3 attempts was not kept",
            expected="the request sent 3 times, then an error",
            seen=f"sent {sent} times, then {outcome.get('error', 'an answer')}",
        )
        expect(
            outcome.get("error") == "CallTimeout" and outcome.get("definite") is False,
            f"silence was reported as something else, when every {kind} was lost",
            expected="CallTimeout, definite False",
            seen=outcome,
            why=f"the handler ran {calls.ran('x') - ran} times, which the client cannot know: a lost request and a "
            "lost reply look the same to it",
        )
    what_is_given_up_is_closed(calls)
    nobody_reads(calls)


def what_is_given_up_is_closed(calls: Calls) -> None:
    lost = calls.cluster.network.drop(Aim("add", times=None))
    before = sockets(calls.cluster, "client")
    for _ in range(GIVEN_UP):
        calls.finish(calls.begin("add", at_most_once=False, policy={**ONE_BY_ONE, "attempts": 1}))
    calls.cluster.network.remove(lost)
    grown = sockets(calls.cluster, "client") - before
    expect(
        grown < GIVEN_UP // 2,
        "calls that were given up leave their connections open",
        expected="none, or a few that are used again: nobody reads from a connection whose call has ended",
        seen=f"{grown} sockets more, after {GIVEN_UP} calls one after the other that were not answered",
        why="a client that meets a dead server would soon have no file descriptor left",
    )


def nobody_reads(calls: Calls) -> None:
    """A request of which a part is in everybody's buffers, and no more can be sent."""
    deaf = RawPeer(calls.cluster.network, "deaf")
    deaf.listen()  # it never accepts; the system connects all the same
    policy = {**ONE_BY_ONE, "attempts": 2}
    pending = calls.begin("echo", server="deaf", zeros=MUCH, at_most_once=False, policy=policy)
    calls.pass_time(
        lambda: pending.done,
        f"the end of a call of 2 attempts, 20 s each, whose server takes no more bytes of a request of {MUCH >> 20} MiB,",
    )
    deaf.close()
    outcome = calls.cluster.result("client", pending)
    expect(
        outcome.get("error") in ("Unreachable", "CallTimeout", "ConnectionLost"),
        "a call whose request was never taken to its last byte ended wrongly",
        expected="Unreachable: half a request never runs",
        seen=outcome,
    )

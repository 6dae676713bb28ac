"""Lab 1 part B: calls that may fail. All of them best effort, so that part C may still be missing."""

from __future__ import annotations

from typing import Any

from harness.calls import Calls
from harness.cluster import Cluster
from harness.grading import claim, expect
from harness.network.faults import Aim

ONE_BY_ONE: dict[str, Any] = {"first_timeout": 20.0, "factor": 1.0, "longest": 20.0, "jitter": 0.0}


@claim(
    "A call whose request or reply is lost is sent again, under the same XID, until it is answered",
    hint="make the XID once per call, outside the loop over attempts",
    read="labs/01_rpc/README.md#part-b-calls-that-may-fail",
)
def test_lost_messages_are_sent_again(cluster: Cluster) -> None:
    calls = Calls(cluster)
    xids: list[object] = []
    for turn, kind in enumerate(("request", "reply"), 1):
        args = {"value": [turn, "text"]}
        lost = cluster.network.drop(Aim("echo", kind))
        before = len(calls.requests("echo"))
        outcome = calls.finish(calls.begin("echo", args, payload=b"bulk", at_most_once=False))
        expect(
            lost.aim.hits == 1, f"the call sent no request for echo: no {kind} could be lost", seen=outcome
        )
        expect(
            outcome.get("value") == args["value"] and outcome.get("payload") == b"bulk",
            f"a call whose {kind} was lost once did not bring the answer",
            expected={"value": args["value"], "payload": b"bulk"},
            seen=outcome,
        )
        sent = calls.requests("echo")[before:]
        expect(len(sent) >= 2, "an answer came though the request was sent only once and it was lost")
        expect(
            sent[0].xid is not None and len({frame.xid for frame in sent}) == 1,
            "a request that was sent again had another XID",
            expected=f"xid {sent[0].header.get('xid')} every time",
            seen=[frame.header.get("xid") for frame in sent],
            why="by the XID the server tells a repeat from a new call, and the client an old reply from its own",
        )
        xids.append(sent[0].xid)
    expect(xids[0] != xids[1], "two different calls had the same XID", seen=xids)


@claim(
    "A call that is never answered gives up with CallTimeout, which does not say that nothing happened",
    hint="count attempts; after the last one raise CallTimeout, because it was sent and nobody knows",
    read="labs/01_rpc/README.md#part-b-calls-that-may-fail",
)
def test_silence_ends_in_a_timeout(cluster: Cluster) -> None:
    calls = Calls(cluster)
    calls.value("echo", at_most_once=False)
    lost = cluster.network.drop(Aim("add", "reply", times=None))
    pending = calls.begin("add", at_most_once=False, policy={**ONE_BY_ONE, "attempts": 3})
    cluster.until(lambda: pending.done or lost.aim.hits > 0, "the first attempt")
    outcome = calls.finish(pending)

    sent = len(calls.requests("add"))
    expect(
        sent in (2, 3),  # an attempt may end, on a slow machine, while it is still connecting
        "a policy of 3 attempts was not kept",
        expected="the request sent 3 times, then an error",
        seen=f"sent {sent} times, then {outcome.get('error', 'an answer')}",
    )
    expect(
        outcome.get("error") == "CallTimeout" and outcome.get("definite") is False,
        "silence was reported as something else",
        expected="CallTimeout, definite False",
        seen=outcome,
        why=f"the handler ran {calls.ran('x')} times: it was the replies that were lost, which the client cannot know",
    )


@claim(
    "A call to a node that is down is Unreachable, which says that nothing happened, until the node is there",
    hint="connecting failed each time: nothing was ever sent. A refused connection is no reason to skip the other attempts",
    read="labs/01_rpc/README.md#part-b-calls-that-may-fail",
)
def test_nobody_there_is_unreachable(cluster: Cluster) -> None:
    calls = Calls(cluster, servers=())
    cluster.add("server", "rpc", {"serve": True})
    outcome = calls.finish(calls.begin("add", at_most_once=False, policy={**ONE_BY_ONE, "attempts": 2}))
    expect(
        outcome.get("error") == "Unreachable" and outcome.get("definite") is True,
        "a call to a node that does not listen ended wrongly",
        expected="Unreachable, definite True",
        seen=outcome,
        why="nothing was sent, so the caller may safely try something else",
    )
    pending = calls.begin("add", {"key": "late"}, at_most_once=False, policy={**ONE_BY_ONE, "attempts": 10})
    cluster.start("server")
    outcome = calls.finish(pending)
    expect(
        outcome.get("value") == 1,
        "a call did not reach a node that came up while the call was being tried",
        expected="an answer to one of the later attempts",
        seen=outcome,
    )


@claim(
    "A server's no arrives as the error it raised, and the server goes on",
    hint="a RemoteError travels by to_wire and from_wire; what else a handler raises becomes HandlerFailed",
    read="labs/01_rpc/README.md#part-b-calls-that-may-fail",
)
def test_refusals_arrive_as_they_were_raised(cluster: Cluster) -> None:
    calls = Calls(cluster)
    for method, args, error, definite, why in (
        ("refuse", {}, "NoSuchFile", True, "the handler raised it"),
        ("no_such_method", {}, "UnknownMethod", True, "there is no handler of that name"),
        ("add", {"colour": "red"}, "BadArguments", True, "the handler takes no such argument"),
        ("crash", {}, "HandlerFailed", False, "the handler has a bug, and how far it came is unknown"),
    ):
        outcome = calls.outcome(method, args, at_most_once=False)
        expect(
            outcome.get("error") == error and outcome.get("definite") is definite,
            f"a call of {method} with {args} ended wrongly",
            expected=f"{error}, definite {definite}: {why}",
            seen=outcome,
        )
        if method == "refuse":
            expect(
                outcome["data"] == {"path": "/nowhere"},
                "the data of an error was lost on its way",
                expected={"path": "/nowhere"},
                seen=outcome["data"],
            )
    expect(calls.ran("x") == 0, "a handler ran with arguments it does not take")
    again = calls.value("echo", {"value": "still here"}, at_most_once=False)
    expect(again == "still here", "the server stopped answering after an error", seen=again)

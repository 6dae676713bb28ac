"""Lab 1 part B: calls that may fail. All of them best effort, so that part C may still be missing."""

from __future__ import annotations

from harness.calls import ONE_BY_ONE, Calls
from harness.cluster import CallRefused, Cluster
from harness.failures import LabFailure
from harness.grading import claim, expect
from harness.network.faults import Aim, Cut


@claim(
    "A call whose request is lost is sent again, under the same XID, until it is answered",
    hint="make the XID once per call, outside the loop over attempts",
    read="labs/01_rpc/README.md#part-b-calls-that-may-fail",
)
def test_lost_request_is_sent_again(cluster: Cluster) -> None:
    lose_one_message(Calls(cluster), "request")


@claim(
    "A call whose reply is lost is sent again, under the same XID, until it is answered",
    hint="silence is all the client has in either case: treat a lost reply just as a lost request",
    read="labs/01_rpc/README.md#part-b-calls-that-may-fail",
)
def test_lost_reply_is_asked_for_again(cluster: Cluster) -> None:
    lose_one_message(Calls(cluster), "reply")


def lose_one_message(calls: Calls, kind: str) -> None:
    xids: list[object] = []
    for turn in (1, 2):
        args = {"value": [turn, "text"]}
        lost = calls.cluster.network.drop(Aim("echo", kind))
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
        expect(
            len(sent) >= 2, f"an answer came though the request was sent only once and its {kind} was lost"
        )
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
    "A connection that breaks is replaced, and half a request never runs",
    hint="drop the stream that raised, borrow another for the next attempt; what broke may have been sent or not",
    read="labs/01_rpc/README.md#part-b-calls-that-may-fail",
)
def test_broken_connection_is_replaced(cluster: Cluster) -> None:
    calls = Calls(cluster)
    for kind in ("request", "reply"):
        for where in ("before", "inside", "after"):
            what = f"breaks {where} the first {kind}"
            args = {"key": f"{kind} {where}"}
            cut = Cut(Aim("add", kind), where)
            cluster.network.add(cut)
            outcome = calls.finish(calls.begin("add", args, at_most_once=False))
            cluster.network.remove(cut)
            expect(
                "value" in outcome,
                f"a call whose connection {what} did not bring an answer",
                expected="an answer, over another connection if need be",
                seen=outcome,
            )
            sent = [frame for frame in calls.requests("add") if frame.header.get("args") == args]
            whole = [frame for frame in sent if frame.fate not in ("cut before", "cut inside")]
            ran = calls.ran(args["key"])
            expect(
                ran <= len(whole),
                f"a request ran of which only a part had arrived: the connection {what}",
                expected=f"at most one run for each of the {len(whole)} requests that arrived whole",
                seen=f"{ran} runs",
            )
    cluster.restart("server")
    after = calls.finish(calls.begin("echo", {"value": "new life"}, at_most_once=False))
    expect(
        after.get("value") == "new life",
        "after a restart of the server a call did not find it again",
        expected="an answer: connections to the life before are no use any more",
        seen=after,
    )
    broken = Cut(Aim("echo", "reply", times=None), "before")
    cluster.network.add(broken)
    before = len(calls.requests("echo"))
    pending = calls.begin("echo", at_most_once=False, policy={**ONE_BY_ONE, "attempts": 3})
    cluster.until(lambda: pending.done or broken.aim.hits > 0, "the first attempt")
    outcome = calls.finish(pending)
    expect(
        outcome.get("error") in ("ConnectionLost", "CallTimeout") and outcome.get("definite") is False,
        "a call whose connection broke each time, after it had been sent, ended wrongly",
        expected="ConnectionLost, definite False",
        seen=outcome,
        why="the request arrived and ran: only the caller cannot know",
    )
    times = [frame.time for frame in calls.requests("echo")[before:]]
    expect(
        len(times) < 3 or times[-1] - times[0] >= ONE_BY_ONE["longest"],
        "all attempts of a call were made at once, because its connection broke each time",
        expected="an attempt that ends early waits for the end of its time before the next",
        seen=f"{len(times)} transmissions within {times[-1] - times[0]:g} s" if times else "",
        why="a server that is just about to start again is stormed, and the call is over before it has",
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
        ("wait_at_gate", {}, "BadArguments", True, "an argument without a default is missing"),
        ("crash", {}, "HandlerFailed", False, "the handler has a bug, and how far it came is unknown"),
        (
            "stumble",
            {},
            "HandlerFailed",
            False,
            "the TypeError came from inside the handler, which had begun",
        ),
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
    outcome = calls.outcome("add", payload=b"bulk", at_most_once=False)
    expect(
        outcome.get("error") == "BadArguments",
        "a payload was given to a handler that takes none",
        expected="BadArguments: the payload is an argument of that name",
        seen=outcome,
    )
    expect(calls.ran("x") == 0, "a handler ran with arguments it does not take")
    again = calls.value("echo", {"value": "still here"}, at_most_once=False)
    expect(again == "still here", "the server stopped answering after an error", seen=again)


@claim(
    "What cannot be sent is refused where it is: at the caller before anything is sent, at the server in an answer",
    hint="encode the request before the first attempt; an answer that cannot be encoded is the handler's failure",
    read="labs/01_rpc/README.md#part-b-calls-that-may-fail",
)
def test_values_that_cannot_be_sent(cluster: Cluster) -> None:
    calls = Calls(cluster)
    for what in ("an integer of 65 bits", "a set"):
        try:
            seen = cluster.call(
                "client", "attempt_odd", what=what, server="server", method="echo", at_most_once=False
            )
        except CallRefused as refused:
            expect(
                refused.type in ("ValueError", "TypeError"),
                f"an argument that cannot be sent, {what}, was not refused clearly",
                expected="ValueError or TypeError",
                seen=refused.message,
            )
        else:
            raise LabFailure(
                f"a call with an argument that cannot be sent, {what}, came back",
                expected="ValueError or TypeError",
                seen=seen,
            )
        expect(calls.requests("echo") == [], f"something was sent of a call that had {what} in its arguments")
        outcome = calls.outcome("answer_oddly", {"what": what}, at_most_once=False)
        expect(
            outcome.get("error") == "HandlerFailed" and outcome.get("definite") is False,
            f"a handler that answered with {what} was reported wrongly",
            expected="HandlerFailed, definite False: it ran, and only its answer could not be sent",
            seen=outcome,
        )
    again = calls.value("echo", {"value": "still here"}, at_most_once=False)
    expect(
        again == "still here",
        "client or server no longer works after a value that cannot be sent",
        seen=again,
    )

"""Lab 1 part C: at most once, whatever the network does with messages and connections."""

from __future__ import annotations

import time
from typing import Any

from harness.calls import Calls
from harness.cluster import Cluster
from harness.grading import claim, expect
from harness.network.faults import Aim, Cut, Duplicate, Reorder
from harness.network.raw import RawPeer

CLIENT = 77  # the id under which a test itself speaks to a server
PATIENT: dict[str, Any] = {"first_timeout": 1000.0, "longest": 1000.0, "attempts": 2, "jitter": 0.0}
LATER = 30.0  # virtual seconds until the copy of a message arrives
GLANCE = 0.03  # real seconds for what has been delivered to do its harm


@claim(
    "The kept answer is the whole answer: its payload, and an error too",
    hint="keep what you send: an error is an answer like any other, and its handler ran",
    read="labs/01_rpc/README.md#part-c-at-most-once",
)
def test_answers_are_kept_whole(cluster: Cluster) -> None:
    calls = Calls(cluster)
    payload = bytes(range(256)) * 8
    cluster.network.drop(Aim("echo", "reply"))
    outcome = calls.finish(calls.begin("echo", {"value": "v"}, payload=payload))
    expect(
        outcome.get("value") == "v" and outcome.get("payload") == payload,
        "the answer to a repeat was not the first answer",
        expected=f"the value 'v' and the payload of {len(payload)} bytes",
        seen=outcome,
    )
    cluster.network.drop(Aim("crash", "reply"))
    outcome = calls.finish(calls.begin("crash"))
    ran = calls.ran("crash")
    expect(
        ran == 1 and outcome.get("error") == "HandlerFailed" and outcome.get("definite") is False,
        "a call that failed, and whose reply was lost, ran again",
        expected="1 run, and HandlerFailed for its caller",
        seen=f"{ran} runs; the caller got {outcome}",
        why="a handler that fails may have done half of its work: doing it again is just what must not happen",
    )
    with RawPeer(cluster.network).connect("server") as server:
        epoch = server.hello(CLIENT)
        answers = [
            server.call("note_down", {"word": word}, xid=(CLIENT, seq), epoch=epoch).get("result")
            for seq, word in ((1, "a"), (2, "b"), (1, "a"))
        ]
    expect(
        answers == [["a"], ["a", "b"], ["a"]],
        "the answer to a repeat had changed since it was given first",
        expected="['a'] both times: the handler returned its list of words, which another call has made longer since",
        seen=answers,
        why="keep what was sent, and not what the handler returned: that is the handler's, and may change",
    )


@claim(
    "A request that is sent again over a new connection is the same request",
    hint="the table of calls belongs to the server, not to a connection: the XID alone says which call it is",
    read="labs/01_rpc/README.md#part-c-at-most-once",
)
def test_resent_over_a_new_connection(cluster: Cluster) -> None:
    calls = Calls(cluster)
    calls.value("echo")
    for kind, where in (("request", "after"), ("reply", "before"), ("reply", "inside")):
        args = {"key": f"{kind} {where}"}
        cluster.network.add(Cut(Aim("add", kind), where))
        outcome = calls.finish(calls.begin("add", args))
        ran = calls.ran(args["key"])
        expect(
            ran == 1,
            "a call ran again because its request came over another connection",
            expected=f"1 run: the connection broke {where} the {kind}",
            seen=f"{ran} runs; the caller got {outcome}",
        )
        expect(outcome.get("value") == 1, "the caller got the wrong answer", expected=1, seen=outcome)
    tester = RawPeer(cluster.network)
    answers: list[Any] = []
    for _ in range(3):
        with tester.connect("server") as server:
            epoch = server.hello(CLIENT)
            answers.append(server.call("add", {"key": "k"}, xid=(CLIENT, 1), epoch=epoch).get("result"))
    expect(
        answers == [1, 1, 1] and calls.ran("k") == 1,
        "the same request, on three connections one after the other, was not answered as one",
        expected="three times the answer 1, and 1 run",
        seen=f"{answers}, {calls.ran('k')} runs",
    )


@claim(
    "Requests and replies that overtake each other, or come twice and late, change nothing",
    hint="a client skips a reply whose XID is not its call's; a server takes the XID for the name, never the order",
    read="labs/01_rpc/README.md#part-c-at-most-once",
)
def test_reordered_and_late_messages_change_nothing(cluster: Cluster) -> None:
    calls = Calls(cluster)
    calls.value("echo")
    for kind in ("request", "reply"):
        reorder = Reorder(Aim("add", kind))
        cluster.network.add(reorder)
        pending = [calls.begin("add", {"key": kind}) for _ in range(2)]
        answers = sorted(str(calls.finish(one).get("value")) for one in pending)
        cluster.network.remove(reorder)
        expect(
            answers == ["1", "2"] and calls.ran(kind) == 2,
            f"two calls whose {kind} messages were swapped went wrong",
            expected="each runs once and gets its own answer: 1 and 2",
            seen=f"answers {answers}, {calls.ran(kind)} runs",
        )
    old_requests(calls)
    old_replies(calls)


def old_requests(calls: Calls) -> None:
    """A copy of every request arrives when its call has long been answered, and mostly acknowledged too."""
    copies = Duplicate(Aim("add", "request", times=None), LATER)
    calls.cluster.network.add(copies)
    outcomes = [calls.outcome("add", {"key": "twice"}) for _ in range(4)]
    calls.cluster.advance(LATER + 1)
    calls.cluster.network.remove(copies)
    outcomes.append(calls.outcome("add", {"key": "twice"}))
    answers = [outcome.get("value", outcome.get("message")) for outcome in outcomes]
    expect(
        answers == [1, 2, 3, 4, 5] and calls.ran("twice") == 5,
        "late copies of requests ran, or a call took the reply to an earlier call for its own",
        expected="5 calls, 5 runs, answers 1 to 5",
        seen=f"answers {answers}, {calls.ran('twice')} runs",
    )


def old_replies(calls: Calls) -> None:
    """While a call waits, copies arrive of the reply to the call before it, over the same connection perhaps."""
    cluster = calls.cluster
    copies = Duplicate(Aim("echo", "reply", times=None), LATER)
    for number in range(3):
        cluster.network.add(copies)
        calls.value("echo", {"value": f"old {number}"})
        cluster.network.remove(copies)
        held = cluster.network.hold(Aim("echo", "request"))
        pending = calls.begin("echo", {"value": number}, policy=PATIENT)
        cluster.until(
            lambda held=held, pending=pending: pending.done or held.first.is_set(), "the next request"
        )
        cluster.advance(LATER + 1)
        time.sleep(GLANCE)
        cluster.network.release(held)
        answer = calls.answer(pending).get("value")
        expect(
            answer == number,
            "a call took the reply to an earlier call for its own",
            expected=number,
            seen=answer,
        )

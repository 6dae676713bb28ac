"""Lab 1 part C: at most once."""

from __future__ import annotations

from typing import Any

from harness.calls import Calls, value_of
from harness.cluster import Cluster
from harness.grading import claim, expect
from harness.network.faults import Aim
from harness.network.raw import RawPeer, code_of

CLIENT = 77  # the id under which a test itself speaks to a server


@claim(
    "A call whose reply was lost runs once and still returns its answer",
    hint="remember the reply under the request's XID, and give it again when the XID comes again",
    read="labs/01_rpc/README.md#part-c-at-most-once",
)
def test_lost_reply_runs_once(cluster: Cluster) -> None:
    calls = Calls(cluster)
    lost = cluster.network.drop(Aim("add", "reply"))

    outcome = calls.finish(calls.begin("add", {"key": "k"}))

    expect(lost.aim.hits == 1, "the server sent no reply that could be lost", seen=outcome)
    ran = calls.ran("k")
    expect(
        ran == 1,
        "the handler ran more than once for one call",
        expected="1 run, though the client had to send the request again",
        seen=f"{ran} runs; the caller got {outcome}",
        why="the client cannot know whether its request or the reply was lost, so the server has to recognise it",
    )
    expect(outcome.get("value") == 1, "the caller got the wrong answer", expected=1, seen=outcome)


@claim(
    "A duplicate that arrives while the original still runs waits for its answer",
    hint="mark the XID as running before the handler starts; who finds the mark waits for a condition",
    read="labs/01_rpc/README.md#part-c-at-most-once",
)
def test_duplicate_of_a_running_call_waits(cluster: Cluster) -> None:
    calls = Calls(cluster)
    tester = RawPeer(cluster.network)
    args = {"gate": "g", "key": "k"}
    with (
        tester.connect("server") as one,
        tester.connect("server") as other,
        tester.connect("server") as third,
    ):
        epoch = one.hello(CLIENT)
        one.request("wait_at_gate", args, xid=(CLIENT, 1), epoch=epoch)
        calls.until_ran("k", 1)
        other.request("wait_at_gate", args, xid=(CLIENT, 1), epoch=epoch)
        for number in range(10):  # while these come and go, the duplicate has arrived
            third.call("echo", {"value": number}, xid=(CLIENT + 1, number))
        early = calls.ran("k")
        cluster.call("server", "open_gate", name="g")
        replies = [one.reply((CLIENT, 1))[0], other.reply((CLIENT, 1))[0]]
    expect(
        early == 1 and calls.ran("k") == 1,
        "a duplicate ran while the original was still running",
        expected="1 run",
        seen=f"{calls.ran('k')} runs, and the replies {replies}",
        why="its reply is not there yet, but the XID is: a slow handler is just what makes clients send again",
    )
    expect(
        [reply.get("result") for reply in replies] == [1, 1],
        "original and duplicate were answered differently",
        expected="the same result, twice",
        seen=replies,
    )


@claim(
    "A late duplicate of an acknowledged call is refused, not run",
    hint="once a client acknowledges up to a number, anything at or below it is old: keep that number, drop the replies",
    read="labs/01_rpc/README.md#part-c-at-most-once",
)
def test_late_duplicate_is_refused(cluster: Cluster) -> None:
    calls = Calls(cluster, clients=())
    tester = RawPeer(cluster.network)
    with tester.connect("server") as server:
        epoch = server.hello(CLIENT)

        def add(seq: int, ack: int, key: str) -> dict[str, Any]:
            return server.call("add", {"key": key}, xid=(CLIENT, seq), ack=ack, epoch=epoch)

        first = add(1, 0, "a")
        again = add(1, 0, "a")
        expect(
            first.get("result") == again.get("result") == 1,
            "a repeat of a call that nobody acknowledged was answered differently",
            expected="the stored answer, 1",
            seen=[first, again],
        )
        add(2, 1, "b")  # acknowledges call 1
        add(4, 1, "d")
        late = add(1, 0, "a")
        check_refused(late, calls.ran("a"), "call 1 after its answer was acknowledged by call 2")
        overtaken = add(3, 1, "c")
        expect(
            overtaken.get("result") == 1,
            "a call was refused only because a later one had overtaken it",
            expected="call 3 runs: nobody has acknowledged it yet",
            seen=overtaken,
        )
        answered = add(2, 0, "b")
        expect(
            answered.get("result") == 1 and calls.ran("b") == 1,
            "a repeat with an older ack lost its stored answer",
            expected="the stored answer of call 2, which nobody acknowledged",
            seen=f"{answered}, after {calls.ran('b')} runs",
        )
        plain = [server.call("add", {"key": "p"}, xid=(CLIENT, 9), ack=99).get("result") for _ in range(2)]
        expect(
            plain == [1, 2],
            "a best-effort request that came twice did not run twice",
            expected="answers 1 and 2: without an epoch it runs every time it arrives, and nothing is kept",
            seen=plain,
            why="its client acknowledges nothing, so what is kept of it would be kept for ever",
        )
        after = add(5, 1, "e")
        expect(
            after.get("result") == 1,
            "a call was refused for the ack of a best-effort request",
            expected="call 5 runs: ack is without meaning when epoch is nil",
            seen=after,
        )


def check_refused(reply: dict[str, Any], ran: int, what: str) -> None:
    expect(
        ran == 1 and code_of(reply) == "forgotten",
        f"the server did not refuse a late duplicate of {what}",
        expected="the error forgotten, and still 1 run",
        seen=f"{reply}, after {ran} runs",
        why="a network may deliver a copy of a request long after everybody has forgotten the call",
    )


@claim(
    "A client acknowledges what is answered, and never a call that it may still send",
    hint="ack is the number just below the oldest call in flight, not the last one answered",
    read="labs/01_rpc/README.md#part-c-at-most-once",
)
def test_client_acknowledges_what_is_answered(cluster: Cluster) -> None:
    calls = Calls(cluster)
    slow = calls.begin("wait_at_gate", {"gate": "g", "key": "slow"})
    calls.until_ran("slow", 1, slow)
    first = calls.requests("wait_at_gate")
    expect(
        first != [],
        "a call ran on the server, but no request for it could be read on the way",
        why="the network between them reads frames as docs/protocol.md lays them out: no xid is seen in any other",
    )
    (_, oldest) = xid_of(first[0])
    for number in range(3):
        calls.value("add", {"key": f"quick{number}"})
    for frame in calls.requests("add"):
        expect(
            type(frame.header.get("ack")) is int and frame.header["ack"] < oldest,
            "a client acknowledged a call that it is still waiting for",
            expected=f"an ack below {oldest}, which is in flight",
            seen=f"ack {frame.header.get('ack')} in the request {frame.header.get('xid')}",
            why="the server drops what is acknowledged: a repeat of that call would be refused, its answer lost",
        )
    cluster.call("server", "open_gate", name="g")
    value_of("wait_at_gate", calls.answer(slow))
    calls.value("add", {"key": "last"})
    before, last = calls.requests("add")[-2:]
    newest = xid_of(before)[1]
    expect(
        last.header.get("ack", 0) >= newest,
        "a client did not acknowledge calls that were answered",
        expected=f"an ack of at least {newest}: every call up to it has been answered",
        seen=f"ack {last.header.get('ack')} in the request {last.header.get('xid')}",
        why="the server keeps every answer until it is acknowledged",
    )


def xid_of(frame: Any) -> tuple[int, int]:
    expect(frame.xid is not None, "a request's xid is [client, seq], two ints", seen=frame.header.get("xid"))
    return frame.xid


@claim(
    "No two clients share XIDs, not even two of one program",
    hint="draw the client's id from context.rng, 63 bits of it, when the Client is made",
    read="labs/01_rpc/README.md#part-c-at-most-once",
)
def test_clients_never_share_xids(cluster: Cluster) -> None:
    calls = Calls(cluster, clients=("client", "other"))
    answers: list[Any] = []
    for client in ("client", "other", "client", "client"):
        if len(answers) >= 2:
            cluster.call("client", "new_client")
        answers.append(calls.value("add", {"key": "k"}, client=client))
    frames = [*calls.requests("add"), *calls.requests("add", client="other")]
    ids = sorted({xid_of(frame)[0] for frame in frames})
    expect(
        answers == [1, 2, 3, 4] and len(ids) == 4,
        "a new client was taken for an older one",
        expected="4 clients with 4 ids, whose calls all run: answers [1, 2, 3, 4]",
        seen=f"ids {ids}, answers {answers}",
        why="the server knows a call by its XID alone: a stranger with the same one gets the other's answer",
    )


@claim(
    "A client that has restarted is a new client",
    hint="nothing of the client's id or numbers may come back after a restart: neither its name nor a counter will do",
    read="labs/01_rpc/README.md#part-c-at-most-once",
)
def test_restarted_client_is_a_new_client(cluster: Cluster) -> None:
    calls = Calls(cluster)
    answers = [calls.value("add", {"key": "k"}) for _ in range(3)]
    cluster.restart("client")
    outcomes = [calls.outcome("add", {"key": "k"}) for _ in range(3)]
    xids = [xid_of(frame) for frame in calls.requests("add")]
    former, later = set(xids[:3]), set(xids[3:])
    expect(
        not former & later and [outcome.get("value") for outcome in outcomes] == [4, 5, 6],
        "a client's calls after its restart were taken for those of its former life",
        expected="XIDs never used before, and calls that run: answers [4, 5, 6]",
        seen=f"the XIDs {sorted(former & later)} in both lives, and outcomes {outcomes}",
        why=f"in its former life the client was given {answers}, and the server remembers what it gave",
    )

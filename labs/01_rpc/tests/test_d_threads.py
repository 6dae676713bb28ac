"""Lab 1 part D: threads."""

from __future__ import annotations

import struct
import time

from harness.calls import IMPATIENT, Calls, value_of
from harness.cluster import Cluster
from harness.failures import LabFailure
from harness.grading import claim, expect
from harness.network.crowd import crowd, largest
from harness.network.frame import encode
from harness.network.raw import RawPeer
from harness.outside import sockets, threads
from harness.patience import Deadline

LONG = 1_000_000  # bytes of an answer
UNREAD = 30  # such answers: more than all buffers between two nodes together hold
GLANCE = 0.05
PATIENCE = 10.0  # seconds of patience in which threads have ended that need only notice the end of a stream


@claim(
    "A slow handler delays nobody else's call",
    hint="a thread for every connection, and no lock held while a handler runs",
    read="labs/01_rpc/README.md#part-d-threads",
)
def test_slow_handler_delays_nobody(cluster: Cluster) -> None:
    calls = Calls(cluster, clients=("client", "other"))
    slow = calls.begin("wait_at_gate", {"gate": "g", "key": "slow"})
    calls.until_ran("slow", 1, slow)
    for client in ("other", "client"):
        for at_most_once in (False, True):
            quick = calls.begin("add", {"key": "quick"}, client=client, at_most_once=at_most_once)
            who = "another client" if client == "other" else "another thread of the same client"
            expect(
                cluster.comes(quick.wait, IMPATIENT),
                f"a call of {who} had to wait for a slow handler",
                expected="an answer while the slow handler still runs",
                seen=f"none within {IMPATIENT:g} s of real time",
                why="one stuck handler would stop the whole server",
            )
            value_of("add", cluster.result(client, quick))
    expect(not slow.done, "the slow call was answered before its handler had ended")
    cluster.call("server", "open_gate", name="g")
    expect(value_of("wait_at_gate", calls.answer(slow)) == 1, "the slow call got the wrong answer")


@claim(
    "Calls from many threads of one client run side by side, and each gets its own answer",
    hint="a connection carries one call at a time, or replies find their call by its XID",
    read="labs/01_rpc/README.md#part-d-threads",
)
def test_calls_run_side_by_side(cluster: Cluster) -> None:
    servers = ("s1", "s2")
    calls = Calls(cluster, servers=servers)
    pending = [
        (server, calls.begin("wait_at_gate", {"gate": "g", "key": "k"}, server=server))
        for _ in range(4)
        for server in servers
    ]
    for server in servers:
        calls.until_ran("k", 4, *(call for where, call in pending if where == server), server=server)
    echoes = [
        (number, calls.begin("echo", {"value": number}, server=servers[number % 2], payload=bytes([number])))
        for number in range(40)
    ]
    for number, call in echoes:
        outcome = calls.answer(call)
        expect(
            outcome.get("value") == number and outcome.get("payload") == bytes([number]),
            "one of 40 calls at the same time got another's answer",
            expected=number,
            seen=outcome,
        )
    for server in servers:
        cluster.call(server, "open_gate", name="g")
    answers = [(server, value_of("wait_at_gate", calls.answer(call))) for server, call in pending]
    expect(
        sorted(answers, key=str) == [(server, number) for server in servers for number in (1, 2, 3, 4)],
        "calls from several threads did not all run once",
        expected="answers 1 to 4 from each of two servers",
        seen=answers,
    )


@claim(
    "Two nodes that call each other at the same time do not wait for each other",
    hint="hold no lock while waiting for a reply; a handler that calls back needs a thread that is free to answer",
    read="labs/01_rpc/README.md#part-d-threads",
)
def test_nodes_call_each_other(cluster: Cluster) -> None:
    calls = Calls(cluster, servers=("a", "b"), clients=("client",))
    back = {"method": "echo", "args": {"value": "round"}}
    for _ in range(3):
        pending = [
            calls.begin(
                "relay", {"server": there, "method": "relay", "args": {"server": here, **back}}, server=here
            )
            for here, there in (("a", "b"), ("b", "a"))
        ]
        for call in pending:
            expect(
                cluster.comes(call.wait, IMPATIENT),
                "two nodes that call each other are stuck",
                expected="an answer that has been from a to b and back, while b does the same",
                seen=f"none within {IMPATIENT:g} s of real time",
            )
            expect(
                value_of("relay", cluster.result("client", call)) == "round",
                "a relayed call got a wrong answer",
            )


@claim(
    "A thousand connections are served side by side, and leave nothing behind when they end",
    hint="when a connection's stream ends its thread ends, and has closed the socket in a finally",
    read="labs/01_rpc/README.md#part-d-threads",
)
def test_a_thousand_connections(cluster: Cluster) -> None:
    calls = Calls(cluster)
    calls.value("echo")
    before = (threads(cluster, "server"), sockets(cluster, "server"))
    with crowd(cluster, "server", largest(1000)) as peers:
        for number, peer in enumerate(peers, 1):
            peer.request("echo", {"value": number}, xid=(number, 1))
        for number, peer in enumerate(peers, 1):
            header, _ = peer.reply((number, 1))
            expect(
                header.get("result") == number,
                f"connection {number} of {len(peers)} got a wrong answer",
                expected=number,
                seen=header,
            )
        call = calls.begin("add", {"key": "k"})
        expect(
            cluster.comes(call.wait, IMPATIENT) and value_of("add", cluster.result("client", call)) == 1,
            f"with {len(peers)} idle connections open, another client's call went wrong",
            expected="an answer",
            seen=call.message,
        )
    when = f"{len(peers)} connections had been closed by the other side"
    wait_for_ends(cluster, "server", before, when, kept=len(peers) // 20)


def wait_for_ends(cluster: Cluster, node: str, before: tuple[int, int], when: str, kept: int = 0) -> None:
    """No more threads and sockets than `before`, soon; the one that answers the harness may be among them.

    Of threads `kept` more are no harm: a server may keep some for the next calls, though not one for each connection.
    """

    def now() -> tuple[int, int]:
        return threads(cluster, node), sockets(cluster, node)

    def ended(patience: float) -> bool:
        deadline = Deadline(patience)
        while (seen := now()) and (seen[0] > before[0] + 1 + kept or seen[1] > before[1]):
            if deadline.passed():
                return False
            time.sleep(0.02)
        return True

    if not cluster.comes(ended, PATIENCE):
        left = now()
        raise LabFailure(
            f"something was left behind at {node} after {when}",
            expected=f"{before[0]} threads and {before[1]} sockets, as before"
            + (f", and perhaps {kept} threads kept for later" if kept else ""),
            seen=f"{left[0]} threads and {left[1]} sockets, after {PATIENCE:g} s of real time",
            why="what every connection leaves behind, however little, brings a server down in the end",
        )


@claim(
    "Whoever sends rubbish loses his connection, and nobody else loses anything",
    hint="catch MalformedFrame and OSError around one connection's loop, close the socket in a finally, hold no lock while sending",
    read="labs/01_rpc/README.md#part-d-threads",
)
def test_rubbish_costs_its_sender_only(cluster: Cluster) -> None:
    calls = Calls(cluster)
    tester = RawPeer(cluster.network)
    half = tester.connect("server")
    half.send(encode({"method": "echo"}, b"payload")[:-1])
    deaf = tester.connect("server")
    for number in range(UNREAD):
        deaf.request("fill", {"number": number, "size": LONG}, xid=(2, number))
    cluster.await_quiet(restless=GLANCE)  # until its answers are in everybody's way
    for what, rubbish in (
        ("text", b"GET / HTTP/1.1\r\n\r\n"),
        ("a frame of gigabytes", struct.pack(">II", 0xFFFFFFFF, 0xFFFFFFFF)),
        ("a header that is no map", struct.pack(">II", 1, 0) + b"\x01"),
        ("a frame that is no request", encode({"hello": "server"})),
        (
            "a request whose xid is no pair",
            encode({"method": "echo", "args": {}, "xid": 5, "ack": 0, "epoch": None}),
        ),
    ):
        with tester.connect("server") as peer:
            peer.send(rubbish)
            expect(
                peer.closed(IMPATIENT),
                f"a connection on which came {what} was not closed",
                expected="the server closes it: nothing after that makes sense",
                seen=f"it was still open after {IMPATIENT:g} s of real time",
            )
    vanishing = tester.connect("server")
    vanishing.request("wait_at_gate", {"gate": "g", "key": "gone"}, xid=(1, 1))
    calls.until_ran("gone", 1)
    vanishing.close()
    cluster.call("server", "open_gate", name="g")
    call = calls.begin("add", {"key": "k"})
    expect(
        cluster.comes(call.wait, IMPATIENT) and value_of("add", cluster.result("client", call)) == 1,
        "after other peers had sent rubbish, stopped in the middle of a frame, read no answers, or vanished, a call went wrong",
        expected="an answer",
        seen=call.message,
    )
    half.close()
    deaf.close()


@claim(
    "Stopping a server and closing a client end their connections, their calls and their threads",
    hint="shutdown wakes a thread that is blocked on a socket; closing the socket does not",
    read="labs/01_rpc/README.md#part-d-threads",
)
def test_stopping_leaves_nothing_behind(cluster: Cluster) -> None:
    calls = Calls(cluster, clients=("client", "other"))
    fresh = (threads(cluster, "client"), sockets(cluster, "client"))  # of a node that does nothing
    with RawPeer(cluster.network).connect("server") as idle:
        calls.value("echo")
        under_way = calls.begin("wait_at_gate", {"gate": "g", "key": "k"}, client="other")
        calls.until_ran("k", 1, under_way)
        calls.value("echo", client="other")  # its connection is idle afterwards
        cluster.call("other", "stop")
        expect(
            cluster.comes(under_way.wait, IMPATIENT),
            "closing a client left a call waiting for its reply",
            expected="ConnectionLost at once",
            seen=f"no end within {IMPATIENT:g} s of real time",
        )
        outcome = cluster.result("other", under_way)
        expect(
            outcome.get("error") == "ConnectionLost" and outcome.get("definite") is False,
            "closing a client did not end a call under way as it should",
            expected="ConnectionLost, definite False: it was sent, and nobody knows",
            seen=outcome,
        )
        wait_for_ends(cluster, "other", fresh, "the client had been closed")
        late = calls.outcome("echo", client="other")
        expect(
            late.get("error") == "Unreachable",
            "a client that had been closed went on calling",
            expected="Unreachable: after close it makes no connection",
            seen=late,
        )
        cluster.call("server", "open_gate", name="g")
        cluster.call("server", "stop")
        expect(idle.closed(IMPATIENT), "a connection was still open after its server had been stopped")
    try:
        cluster.until(
            lambda: not cluster.call("server", "threads"), "the end of the server's threads", IMPATIENT
        )
    except LabFailure as failure:
        raise LabFailure(
            "a server that was stopped left threads behind",
            expected="none",
            seen=cluster.call("server", "threads"),
        ) from failure
    wait_for_ends(cluster, "server", fresh, "the server had been stopped")
    wait_for_ends(cluster, "other", fresh, "a closed client had been called")
    after = calls.finish(calls.begin("echo", policy={"attempts": 1}))
    expect("error" in after, "a server that was stopped still answers", seen=after)

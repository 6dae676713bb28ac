"""Lab 1 part C: what at most once may cost a server. The test is the client here, and looks at the node from outside."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from typing import Any

from harness.calls import Calls
from harness.cluster import Cluster
from harness.grading import claim, expect
from harness.network.frame import encode
from harness.network.raw import RawConnection, code_of
from harness.outside import resident

CLIENT = 77
LOYAL = CLIENT - 1  # a client that comes again with every crowd
CALLS = 100_000
AT_ONCE = 500  # requests sent before their replies are read; each acknowledges the batch before
WARM = 10_000  # calls after which the server has all it needs, if it forgets
ANSWER = 1000  # bytes of each answer
MEGABYTE = 1 << 20
ALLOWED = 32 * MEGABYTE  # a third of what the answers have together

CROWD = 1100  # clients that come at the same time: more than have to be remembered when they are silent
CROWDS = 4
LAST_ANSWER = 8000  # bytes of the answer that each of them leaves behind
SILENCE = 2 * 3600.0  # virtual seconds from crowd to crowd, twice the time for which all are remembered


def direct(cluster: Cluster) -> RawConnection:
    """A connection past the proxy, whose journal would hold all this."""
    sock = socket.create_connection(("127.0.0.1", cluster.port("server") or 0))
    return RawConnection(sock, "server", cluster.network)


@claim(
    "A hundred thousand calls later the server keeps no more than at first, and still runs no old call",
    hint="drop every answer at or below ack; of all those calls remember one number, the highest ack",
    read="labs/01_rpc/README.md#part-c-at-most-once",
)
def test_table_stays_bounded(cluster: Cluster) -> None:
    calls = Calls(cluster, clients=())
    with direct(cluster) as server:
        epoch = server.hello(CLIENT)
        call_many(server, epoch, 1, WARM)
        before = resident(cluster, "server")
        call_many(server, epoch, WARM + 1, CALLS)
        grown = resident(cluster, "server") - before
        expect(
            grown < ALLOWED,
            "the server's memory grows with every call it has answered",
            expected=f"little: the client had received, and acknowledged, all but the last {AT_ONCE} answers",
            seen=f"{grown // MEGABYTE} MiB more after {CALLS} calls than after {WARM}",
            why="a server that never forgets falls over some day, whatever else it does right",
        )
        kept = server.call("fill", fill(CALLS), xid=(CLIENT, CALLS), ack=CALLS - AT_ONCE, epoch=epoch)
        late = server.call("fill", fill(1), xid=(CLIENT, 1), ack=0, epoch=epoch)
    expect(
        kept.get("result") == [CALLS, "x" * ANSWER],
        "an answer that nobody has acknowledged is gone",
        expected=f"the answer to call {CALLS} again",
        seen=str(kept)[:200],
    )
    expect(
        code_of(late) == "forgotten" and calls.ran("fill") == CALLS,
        "a very late duplicate of the first call was not refused",
        expected=f"the error forgotten, and {CALLS} runs in all",
        seen=f"{str(late)[:200]}, {calls.ran('fill')} runs",
    )


@claim(
    "Clients that have gone are forgotten, and nobody who was heard lately or whose call still runs",
    hint="when there are more than max_clients, a new one takes the place of those silent for more than keep seconds",
    read="labs/01_rpc/README.md#part-c-at-most-once",
)
def test_gone_clients_are_forgotten(cluster: Cluster) -> None:
    calls = Calls(cluster, clients=())
    slow = {"gate": "g", "key": "slow"}
    with direct(cluster) as server, direct(cluster) as one, direct(cluster) as other:
        epoch = server.hello(CLIENT)
        one.request("wait_at_gate", slow, xid=(CLIENT, 1), epoch=epoch)
        calls.until_ran("slow", 1)
        ask(server, epoch, [(LOYAL, 1, 0)], LAST_ANSWER)
        come_and_go(server, epoch, 0)
        before = resident(cluster, "server")
        for number in range(1, CROWDS):
            cluster.advance(SILENCE)
            ask(server, epoch, [(LOYAL, 1 + number, number)], LAST_ANSWER)
            come_and_go(server, epoch, number)
        grown = resident(cluster, "server") - before
        expect(
            grown < 2 * CROWD * LAST_ANSWER,
            "the server's memory grows with every client it has ever heard of",
            expected=f"as much as at first: whenever {CROWD} new clients came, those before had been silent for "
            f"{SILENCE / 3600:g} hours. One has called again each time, and of one a call still runs; that is no reason to "
            "keep the others",
            seen=f"{grown // MEGABYTE} MiB more after {CROWDS} times {CROWD} clients than after the first {CROWD}",
            why="a client that has ended acknowledges nothing any more: its last answers would stay for ever",
        )
        late = (CROWDS - 1) * CROWD
        ask(server, epoch, [(CLIENT + 1 + late, 1, 0)], LAST_ANSWER)
        expect(
            calls.ran("fill") == CROWDS * (CROWD + 1),
            "a repeat ran again: its client had been forgotten though it was heard just before",
            expected=f"the kept answer: only who is silent for more than an hour is forgotten, be there {CROWD} others",
            seen=f"{calls.ran('fill')} runs of {CROWDS * (CROWD + 1)} calls",
        )
        other.request("wait_at_gate", slow, xid=(CLIENT, 1), epoch=epoch)
        for number in range(10):  # while these come and go, the duplicate has arrived
            server.call("echo", {"value": number}, xid=(CLIENT, number))
        cluster.call("server", "open_gate", name="g")
        replies = [peer.reply((CLIENT, 1))[0].get("result") for peer in (one, other)]
    expect(
        replies == [1, 1] and calls.ran("slow") == 1,
        "a repeat ran while the original was still running: its client had been forgotten",
        expected="1 run, and the answer 1 to both: the client is silent because it waits for the server",
        seen=f"{calls.ran('slow')} runs, and the answers {replies}",
    )


def fill(number: int, size: int = ANSWER) -> dict[str, Any]:
    return {"number": number, "size": size}


def call_many(server: RawConnection, epoch: int, first: int, last: int) -> None:
    """Calls of one client."""
    for start in range(first, last + 1, AT_ONCE):
        ask(server, epoch, ((CLIENT, number, start - 1) for number in range(start, start + AT_ONCE)), ANSWER)


def come_and_go(server: RawConnection, epoch: int, crowd: int) -> None:
    """The first and last calls of so many clients."""
    first = CLIENT + 1 + crowd * CROWD
    for start in range(first, first + CROWD, AT_ONCE):
        clients = range(start, min(start + AT_ONCE, first + CROWD))
        ask(server, epoch, ((client, 1, 0) for client in clients), LAST_ANSWER)


def ask(server: RawConnection, epoch: int, calls: Iterable[tuple[int, int, int]], size: int) -> None:
    """Calls, each of them client, seq and ack, all of them sent before the answers are read."""
    batch = list(calls)
    server.send(b"".join(request(epoch, *call, size) for call in batch))
    waiting = {(client, seq): None for client, seq, _ in batch}  # most answers come in this order
    while waiting:
        header, _ = server.receive()
        xid = next((one for one in waiting if header.get("xid") == [*one]), None)
        expect(
            xid is not None and header.get("result") == [xid[1], "x" * size],
            "one of many calls on a connection was answered wrongly",
            expected=f"the answer to one of {len(waiting)} calls up to {batch[-1][:2]}",
            seen=str(header)[:200],
        )
        waiting.pop(xid, None)


def request(epoch: int, client: int, seq: int, ack: int, size: int) -> bytes:
    return encode(
        {"method": "fill", "args": fill(seq, size), "xid": [client, seq], "ack": ack, "epoch": epoch}
    )

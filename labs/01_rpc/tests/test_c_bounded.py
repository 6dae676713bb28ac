"""Lab 1 part C: what at most once may cost a server. The test is the client here, and looks at the node from outside."""

from __future__ import annotations

import socket
from typing import Any, cast

from harness.calls import Calls
from harness.cluster import Cluster
from harness.grading import claim, expect
from harness.network.frame import encode
from harness.network.raw import RawConnection
from harness.outside import resident

CLIENT = 77
CALLS = 100_000
AT_ONCE = 500  # requests sent before their replies are read; each acknowledges the batch before
WARM = 10_000  # calls after which the server has all it needs, if it forgets
ANSWER = 1000  # bytes of each answer
MEGABYTE = 1 << 20
ALLOWED = 32 * MEGABYTE  # a third of what the answers have together


@claim(
    "A hundred thousand calls later the server keeps no more than at first, and still runs no old call",
    hint="drop every answer at or below ack; of all those calls remember one number, the highest ack",
    read="labs/01_rpc/README.md#part-c-at-most-once",
)
def test_table_stays_bounded(cluster: Cluster) -> None:
    calls = Calls(cluster, clients=())
    port = cluster.port("server")
    sock = socket.create_connection(
        ("127.0.0.1", port or 0)
    )  # past the proxy: its journal would hold all this
    with RawConnection(sock, "server") as server:
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


def fill(number: int) -> dict[str, Any]:
    return {"number": number, "size": ANSWER}


def code_of(reply: dict[str, Any]) -> Any:
    error = reply.get("error")
    return cast("dict[str, Any]", error).get("code") if isinstance(error, dict) else None


def call_many(server: RawConnection, epoch: int, first: int, last: int) -> None:
    for start in range(first, last + 1, AT_ONCE):
        batch = range(start, start + AT_ONCE)
        server.send(b"".join(request(epoch, number, start - 1) for number in batch))
        waiting = dict.fromkeys(batch)  # answers may come in any order; most come in this one
        while waiting:
            header, _ = server.receive()
            number = next((one for one in waiting if header.get("xid") == [CLIENT, one]), None)
            expect(
                number is not None and header.get("result") == [number, "x" * ANSWER],
                "one of many calls on a connection was answered wrongly",
                expected=f"the answer to one of {len(waiting)} calls up to {batch[-1]}",
                seen=str(header)[:200],
            )
            waiting.pop(number, None)


def request(epoch: int, number: int, ack: int) -> bytes:
    return encode(
        {"method": "fill", "args": fill(number), "xid": [CLIENT, number], "ack": ack, "epoch": epoch}
    )

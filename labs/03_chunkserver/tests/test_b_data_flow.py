"""Lab 3 part B: data goes along a chain, and control messages say later what to do with it."""

from __future__ import annotations

from harness.fixtures import MakeCluster
from harness.grading import claim, expect
from harness.network.faults import Aim
from harness.stubs.cell import Cell, refused
from labkit.errors import RemoteError


@claim(
    "Pushed data passes along the chain, and waits until a mutation names it",
    hint="keep it, then push it to the first of the chain with the rest as its chain",
    read="labs/03_chunkserver/README.md#part-b-data-flows-in-a-chain",
)
def test_push_along_the_chain(make_cluster: MakeCluster) -> None:
    cell = Cell(make_cluster, 3)
    chunk = cell.bare_chunk()
    data = b"d" * 1000
    data_id = cell.push(data)
    hops = [(frame.sender, frame.receiver) for frame in cell.cluster.network.frames("push", "request")]
    chain = [("client", "cs1"), ("cs1", "cs2"), ("cs2", "cs3")]
    expect(
        list(dict.fromkeys(hops)) == chain,
        "the data did not go along the chain",
        expected=arrows(chain),
        seen=arrows(hops),
        why="every server's outgoing link should carry the data once (GFS §3.2)",
    )
    lengths = cell.lengths(chunk)
    expect(
        set(lengths.values()) == {0},
        "pushed data is in the chunk before anybody said so",
        expected="an empty chunk everywhere",
        seen=repr(lengths),
    )
    for name in cell.names:
        cell.apply(name, chunk, 1, 0, data_id)
        cell.holds(name, chunk, 0, data, "after a mutation that names the pushed data")


def arrows(hops: list[tuple[str, str]]) -> str:
    return ", ".join(f"{sender} -> {receiver}" for sender, receiver in hops)


@claim(
    "A push is answered when everybody has the data, and with replica_failed when somebody has not",
    hint="answer only after the next server of the chain has answered you",
    read="labs/03_chunkserver/README.md#part-b-data-flows-in-a-chain",
)
def test_a_push_is_answered_from_the_end(make_cluster: MakeCluster) -> None:
    cell = Cell(make_cluster, 3)
    held = cell.cluster.network.hold(_last_hop())
    push = cell.begin(lambda: {"id": cell.push(b"data")}, "push along cs1, cs2, cs3")
    cell.until(held.first.is_set, "the push from cs2 to cs3", push)
    early = push.wait(0.1)
    expect(
        not early,
        "a push was answered before the last server had the data",
        expected="no answer while the message to cs3 is held up",
        seen="an answer of cs1",
        why="the client sends its append next, and the data would be missing",
    )
    cell.cluster.network.release(held)
    push.result()
    cell.cluster.crash("cs3")
    lost = cell.begin(lambda: {"id": cell.push(b"more")}, "push along cs1, cs2 and the dead cs3")
    refused("replica_failed", lambda: cell.finish(lost), "a push along a chain whose last server is dead")


def _last_hop() -> Aim:
    return Aim("push", "request", sender="cs2", receiver="cs3", times=None)


@claim(
    "Data that was never pushed is unknown_data, and changes nothing",
    hint="look for the data before anything is numbered or written",
    read="labs/03_chunkserver/README.md#part-b-data-flows-in-a-chain",
)
def test_unknown_data(make_cluster: MakeCluster) -> None:
    cell = Cell(make_cluster, 2)
    chunk = cell.chunk()
    refused(
        "unknown_data",
        lambda: cell.ask_append(chunk, "nobody-pushed-this"),
        "an append of data nobody pushed",
    )
    expect(
        cell.lengths(chunk) == {"cs1": 0, "cs2": 0},
        "an append of data nobody pushed has changed the chunk",
        seen=repr(cell.lengths(chunk)),
    )
    alone = cell.bare_chunk("cs2")
    refused(
        "unknown_data",
        lambda: cell.apply("cs2", alone, 1, 0, "nobody-pushed-this-either"),
        "a secondary's mutation with data nobody pushed to it",
    )
    half = cell.push(b"only at the primary", "cs1")
    append = cell.begin_append(chunk, half)
    try:
        answer = cell.finish(append)
    except RemoteError as error:
        expect(
            error.code == "replica_failed",
            "an append of data that a secondary lacks was refused for another reason",
            expected="replica_failed",
            seen=str(error),
        )
    else:
        expect(
            False,
            "an append was acknowledged although a secondary has not got the data",
            expected="replica_failed",
            seen=repr(answer),
        )

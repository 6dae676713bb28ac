"""Lab 3 part B: large data in pieces, which flow along the chain side by side, and a buffer that is bounded."""

from __future__ import annotations

import itertools
import threading
from typing import Any

from harness.failures import LabFailure
from harness.fixtures import MakeCluster
from harness.grading import claim, expect
from harness.network.faults import Aim, Slow
from harness.network.frame import Frame
from harness.stubs.cell import Call, Cell, refused
from labkit.errors import RemoteError

LARGE = {"chunk_size": 1 << 20, "block_size": 4096}  # data may have 256 KB
PIECE = 16 * 1024
ONE_LINE = 1.0  # seconds that data takes over one slow line
LITTLE = ONE_LINE / 100
AT_ONCE = 4  # pieces a client has on their way: as many as there are servers, and one more


@claim(
    "A piece is passed on while the rest of the data still arrives",
    hint="pass every piece on as it comes; only a mutation needs the whole",
    read="labs/03_chunkserver/README.md#part-b-data-flows-in-a-chain",
)
def test_a_piece_does_not_wait_for_the_others(make_cluster: MakeCluster) -> None:
    cell = Cell(make_cluster, 3, LARGE)
    data = bytes(range(256)) * 256
    cut = [(offset, data[offset : offset + PIECE]) for offset in range(0, len(data), PIECE)]
    later = Aim("push", "request", sender="client", times=None, only=lambda frame: offset_of(frame) > 0)
    held = cell.cluster.network.hold(later)

    def push(offset: int, piece: bytes) -> Call:
        return Call(
            lambda: {"": cell.push_piece("large", offset, piece, len(data))},
            f"push of the piece at {offset}",
            cell.cluster,
        )

    calls = [push(offset, piece) for offset, piece in cut]
    try:
        calls[0].result()
    except LabFailure as failure:
        raise LabFailure(
            "the first piece is not answered while the others are on their way to the first server",
            expected="it goes along the chain by itself, and is answered when all servers have it",
            seen=failure.message,
        ) from failure
    hops = [(frame.sender, frame.receiver) for frame in cell.cluster.network.frames("push", "request")]
    expect(
        ("cs2", "cs3") in hops,
        "the first piece was answered, but is not at the end of the chain, while the others were on their way",
        expected="client -> cs1, cs1 -> cs2, cs2 -> cs3",
        seen=", ".join(f"{one} -> {other}" for one, other in dict.fromkeys(hops)),
        why="whoever collects everything first makes R servers take R times as long (GFS §3.2)",
    )
    alone = cell.bare_chunk()
    refused(
        "unknown_data",
        lambda: cell.apply("cs1", alone, 1, 0, "large"),
        "a mutation with data of which only the first piece has come",
    )
    cell.cluster.network.release(held)
    for call in calls:
        call.result()
    chunk = cell.bare_chunk()
    for name in cell.names:
        cell.apply(name, chunk, 1, 0, "large")
        cell.holds(name, chunk, 0, data, "after a mutation with data that came in four pieces")


def offset_of(frame: Frame) -> int:
    args: Any = frame.header.get("args")
    return int(args["offset"])


@claim(
    "On slow lines the chain takes little longer than one copy, however many servers there are",
    hint="B bytes over lines of T bytes a second reach R servers in about B/T + R·L, not in R·B/T",
    read="labs/03_chunkserver/README.md#part-b-data-flows-in-a-chain",
)
def test_a_slow_chain(make_cluster: MakeCluster) -> None:
    cell = Cell(make_cluster, 3, LARGE)
    cell.cluster.set_rate(
        0.0
    )  # what the servers do takes no time, only the lines do, whatever machine this is
    data = bytes(len(cell.names) * 5 * PIECE)
    cell.cluster.network.add(Slow(len(data) / ONE_LINE, aim=Aim("push", times=None)))
    push_in_pieces(cell, "slow", data)
    took = duration(cell, "slow")
    expect(
        took < 2 * ONE_LINE,
        "data takes far longer along a chain of three than over one line",
        expected=f"less than twice the {ONE_LINE:g} s that its bytes take over one line",
        seen=f"{took:.2f} s",
        why="a chain that fills and empties step by step, or a star, takes R·B/T (GFS §3.2)",
    )


def push_in_pieces(cell: Cell, data_id: str, data: bytes) -> None:
    """As a client does: some pieces at once, the next as soon as one of them is answered."""
    offsets = iter(range(0, len(data), PIECE))
    lock = threading.Lock()

    def work() -> dict[str, Any]:
        while True:
            with lock:
                offset = next(offsets, None)
            if offset is None:
                return {}
            cell.push_piece(data_id, offset, data[offset : offset + PIECE], len(data))

    for call in [cell.begin(work, "a push in pieces") for _ in range(AT_ONCE)]:
        cell.finish(call, LITTLE)


def duration(cell: Cell, data_id: str) -> float:
    """From the client's first request to the last answer it got, on the journal's clock."""
    sent: dict[Any, Frame] = {}
    ended = 0.0
    for frame in cell.cluster.network.frames("push"):
        args: Any = frame.header.get("args") or {}
        if frame.sender == "client" and args.get("data_id") == data_id:
            sent[frame.connection, frame.xid] = frame
        elif frame.receiver == "client" and (frame.connection, frame.xid) in sent:
            ended = max(ended, frame.time)
    return ended - min(frame.time for frame in sent.values())


@claim(
    "The buffer of pushed data is bounded, what was unused for longest goes first, and is unknown_data then",
    hint="count the bytes; evict the least recently used until limits.buffer_bytes are enough",
    read="labs/03_chunkserver/README.md#part-b-data-flows-in-a-chain",
)
def test_the_buffer_is_bounded(make_cluster: MakeCluster) -> None:
    size, room, count = 1000, 8, 24
    cell = Cell(make_cluster, 1, {"chunk_size": 4096, "block_size": 512, "buffer_bytes": room * size})
    ids = [cell.push(bytes([number]) * size) for number in range(count)]
    known = [number for number in range(count) if is_known(cell, ids[number])]
    expect(
        len(known) <= room,
        "more pushed data is kept than the buffer may hold",
        expected=f"at most {room} pieces of data of {size} bytes each, limits.buffer_bytes being {room * size}",
        seen=f"{len(known)} of {count}",
        why="clients that push and die would fill the server's memory",
    )
    expect(
        count - 1 in known,
        "the data that was pushed last is not kept",
        expected=f"the latest of {count} pushes among those that are known",
        seen=f"only numbers {known}" if known else "none is known",
    )
    first, again = cell.push(bytes(size)), "pushed again and again"
    for _ in range(2 * room):
        cell.push_piece(again, 0, bytes(size), size)
    expect(
        is_known(cell, first) and is_known(cell, again),
        "data was evicted because other data was pushed again and again",
        expected=f"both are kept: the two have {2 * size} bytes, and there is room for {room * size}",
        why="a client whose answer was lost pushes again, and that does no harm",
    )
    # In turn with others, one is used again and again: it outlives those that are not.
    used = cell.push(b"u" * size)
    idle = cell.push(b"i" * size)
    for number in itertools.count():
        if not is_known(cell, used):
            expect(
                not is_known(cell, idle),
                "data that was used is gone, and data that was pushed then and never used is still there",
                expected="the data unused for longest goes first",
            )
            raise LabFailure(
                "data that is used after every push does not stay in the buffer",
                expected="the data unused for longest goes first",
                seen=f"gone after {number} more pushes",
            )
        if number == 2 * room:
            break
        cell.push(bytes(size))


def is_known(cell: Cell, data_id: str) -> bool:
    """Whether a mutation finds the data: one for a chunk of its own, which uses it."""
    chunk = cell.bare_chunk()
    try:
        cell.apply("cs1", chunk, 1, 0, data_id)
    except RemoteError as error:
        expect(
            error.code == "unknown_data",
            "data that is in the buffer no more is refused for another reason",
            expected="unknown_data",
            seen=str(error),
        )
        return False
    return True

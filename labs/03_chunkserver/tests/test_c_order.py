"""Lab 3 part C: one order of mutations on all replicas, decided by whoever holds the lease, and nobody else."""

from __future__ import annotations

import contextlib
from typing import Any

from harness.fixtures import MakeCluster
from harness.grading import claim, expect
from harness.network.faults import Aim
from harness.network.frame import Frame
from harness.stubs.cell import Call, Cell, Chunk, refused
from harness.stubs.peer import ScriptedPeer
from labkit.errors import Corrupt, HandlerFailed, OutOfOrder, RemoteError, StaleVersion, UnknownData

WAITS = 0.1  # real seconds: all that a correct secondary does meanwhile is wait, a wrong one has long applied

FOR_EVER = 1e6  # seconds


@claim(
    "A secondary applies mutations in the order of their serial numbers, whatever order they come in",
    hint="wait, for a bounded time, until every earlier number is done",
    read="labs/03_chunkserver/README.md#part-c-one-order-for-all",
)
def test_serial_order(make_cluster: MakeCluster) -> None:
    cell = Cell(make_cluster, 1)
    chunk = cell.bare_chunk()
    ids = {serial: cell.push(bytes([64 + serial]) * 4) for serial in (1, 2, 3, 4)}
    cell.cluster.set_rate(0.0)  # nobody loses patience
    calls: dict[int, Call] = {}
    for serial in (3, 4, 2, 1):  # each writes four bytes, and so over two of the one before
        calls[serial] = cell.begin_apply("cs1", chunk, serial, 2 * (serial - 1), ids[serial])
        if serial > 1:
            calls[serial].wait(WAITS)
    answers: dict[int, str] = {}
    for serial, call in calls.items():
        try:
            call.result()
            answers[serial] = "done"
        except RemoteError as error:
            answers[serial] = str(error)
    expect(
        set(answers.values()) == {"done"},
        "mutations are not applied in the order of their serial numbers",
        expected="numbers 3, 4 and 2, which came first, wait until number 1 is done",
        seen="; ".join(f"number {serial}: {answer}" for serial, answer in sorted(answers.items())),
    )
    found = cell.read("cs1", chunk, 0, 100)
    expect(
        found == b"AABBCCDDDD",
        "overlapping mutations were not applied in the order of their serial numbers",
        expected="AABBCCDDDD: AAAA at 0, then BBBB at 2, CCCC at 4, DDDD at 6",
        seen=found.decode("latin-1"),
        why="replicas that apply in different orders hold different bytes for ever",
    )


@claim(
    "A serial number that never comes does not stop the others, and is refused when it comes late",
    hint="after limits.reorder_wait the missing numbers are given up; a number whose turn has passed is out_of_order",
    read="labs/03_chunkserver/README.md#part-c-one-order-for-all",
)
def test_a_number_that_never_comes(make_cluster: MakeCluster) -> None:
    cell = Cell(make_cluster, 1)
    chunk = cell.bare_chunk()
    first, second, third = cell.push(b"AAAA"), cell.push(b"BBBB"), cell.push(b"CCCC")
    cell.finish(cell.begin_apply("cs1", chunk, 2, 0, second))
    refused(
        "out_of_order",
        lambda: cell.apply("cs1", chunk, 1, 0, first),
        "number 1, which came when number 2 had been applied",
        why="the mutation failed as a whole long ago; applied now, it would write over a later one",
    )
    cell.finish(cell.begin_apply("cs1", chunk, 3, 4, third))
    cell.holds("cs1", chunk, 0, b"BBBBCCCC", "after number 1 came too late")
    cell.cluster.set_rate(0.0)  # who waits now, waits for ever
    failing = cell.begin_apply("cs1", chunk, 4, 8, "nobody-pushed-this")
    refused("unknown_data", lambda: cell.finish(failing), "number 4, for which there is no data,")
    following = cell.begin_apply("cs1", chunk, 5, 8, cell.push(b"DDDD"))
    expect(
        cell.cluster.await_quiet(lambda: following.done),
        "a mutation that failed has not had its turn: the next one waits for it",
        expected="number 5 is done at once after number 4, which was answered with unknown_data",
        why="every failure would stop the chunk for limits.reorder_wait",
    )
    following.result()


@claim(
    "Only a primary with a valid lease of the right version orders mutations",
    hint="a lease holds until your own clock shows `until`, and no longer; versions must agree on both sides",
    read="labs/03_chunkserver/README.md#part-c-one-order-for-all",
)
def test_lease_and_version(make_cluster: MakeCluster) -> None:
    cell = Cell(make_cluster, 2)
    data_id = cell.push(b"data")
    cell.master.stop_renewing()
    half = cell.limits.lease / 2
    endless = cell.bare_chunk()
    with contextlib.suppress(RemoteError):  # it may say no
        cell.grant(endless, seconds=FOR_EVER)
    bare, whole, short = cell.bare_chunk(), cell.chunk(), cell.chunk(seconds=half)
    refused("not_primary", lambda: cell.ask_append(bare, data_id), "an append at a server without a lease")
    refused(
        "not_primary",
        lambda: cell.ask_append(Chunk(whole.handle, ("cs2",), whole.version), data_id),
        "an append at a secondary",
    )
    for chunk in (whole, short):
        cell.ask_append(chunk, data_id)
    refused(
        "stale_version",
        lambda: cell.ask_append(Chunk(whole.handle, whole.servers, whole.version + 1), data_id),
        "an append by a client that believes in another version",
    )
    refused(
        "stale_version",
        lambda: cell.apply("cs2", bare, 1, 0, data_id, version=bare.version - 1),
        "a secondary's mutation of an older version",
        why="a primary that has lost its lease must not mutate among those of its successor",
    )
    cell.cluster.advance(max(0.0, cell.master.promised["cs1", short.handle] - cell.cluster.now()) + 1)
    refused(
        "not_primary",
        lambda: cell.ask_append(short, data_id),
        f"an append after a lease of {half:g} s, which was not renewed, has run out",
        why="the lease ends when `until` says: the master has counted it from an earlier moment than you",
    )
    cell.cluster.advance(max(0.0, cell.master.promised["cs1", whole.handle] - cell.cluster.now()) + 1)
    refused("not_primary", lambda: cell.ask_append(whole, data_id), "an append after the lease has run out")
    refused(
        "not_primary",
        lambda: cell.ask_append(endless, data_id),
        f"an append more than limits.lease after a grant that said: for {FOR_EVER:g} s",
        why="the clock that `until` was meant for may have ended with the life before: no lease is longer than limits.lease",
    )


@claim(
    "A lease that ends while a request waits inside the primary orders nothing more",
    hint="look at the lease again when the request's turn has come, under the lock under which you apply",
    read="labs/03_chunkserver/README.md#part-c-one-order-for-all",
)
def test_the_lease_is_looked_at_when_it_counts(make_cluster: MakeCluster) -> None:
    cell = Cell(make_cluster, 2)
    chunk = cell.chunk()
    network = cell.cluster.network
    one, other = cell.push(b"one"), cell.push(b"other")
    cell.cluster.set_rate(0.0)  # the first does not give up before time jumps, however long we look
    held = network.hold(Aim("apply", "reply", sender="cs2", receiver="cs1", times=None))
    first = cell.begin_append(chunk, one)
    cell.until(held.first.is_set, "the answer of cs2 to the first mutation", first)
    cell.master.stop_renewing()
    arrived = network.watch(Aim("append", "request", receiver="cs1"))
    second = cell.begin_append(chunk, other)
    cell.cluster.until(arrived.seen.is_set, "the second append request on its way to cs1")
    # Either the primary lets the second pass the first, and then its mutation is out before time jumps; or the
    # second waits for the first inside the primary, and comes to its turn when there is no lease any more.
    cell.cluster.await_quiet(lambda: second.done)
    until = cell.master.promised["cs1", chunk.handle]
    cell.cluster.advance(max(0.0, until - cell.cluster.now()) + 1)
    network.release(held)
    for call in (first, second):
        with contextlib.suppress(RemoteError):  # whether they failed is not the question
            cell.finish(call)
    begun: dict[Any, Frame] = {}
    for frame in network.frames("apply", "request", sender="cs1"):
        begun.setdefault((frame.header.get("args") or {}).get("serial"), frame)
    late = [serial for serial, frame in begun.items() if frame.time > until]
    expect(
        not late,
        "a mutation was ordered by a server whose lease had ended",
        expected="not_primary for an append whose turn comes after the end of the lease",
        seen=f"the first message of mutation {late[0] if late else ''} left cs1 after the lease had ended",
        why="the master may have made another server primary meanwhile: two orders for one chunk",
    )


@claim(
    "The primary says no when a secondary did not apply, whatever the secondary said or did not say",
    hint="the answer ok means that every replica of this version has the record",
    read="labs/03_chunkserver/README.md#part-c-one-order-for-all",
)
def test_a_secondary_fails(make_cluster: MakeCluster) -> None:
    cell = Cell(make_cluster, 2)
    says: dict[str, RemoteError | None] = {"now": None}

    def apply(**_: Any) -> dict[str, Any]:
        if says["now"] is not None:
            raise says["now"]
        return {}

    secondary = ScriptedPeer(cell.cluster, "stub", {"apply": apply})
    chunk = cell.chunk("cs1", "cs2", "stub")
    data_id = cell.push(b"data")
    cell.ask_append(chunk, data_id)
    expect(
        len(secondary.got("apply")) >= 1,
        "an append was acknowledged without a word to one of the secondaries",
        expected="an apply to each of the secondaries that the grant named",
    )
    for error in (UnknownData, OutOfOrder, Corrupt, StaleVersion, HandlerFailed):
        says["now"] = error("says the test")
        append = cell.begin_append(chunk, data_id)
        refused(
            "replica_failed",
            lambda append=append: cell.finish(append),
            f"an append to which one of two secondaries said {error.code}",
        )
    says["now"] = None
    cell.cluster.network.drop(Aim("apply", "request", receiver="stub", times=None))
    append = cell.begin_append(chunk, data_id)
    refused(
        "replica_failed", lambda: cell.finish(append), "an append that one of two secondaries never heard of"
    )

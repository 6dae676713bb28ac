"""Lab 3 part E: how a lease goes on, and how it ends."""

from __future__ import annotations

import contextlib
from typing import Any

from harness.fixtures import MakeCluster
from harness.grading import claim, expect
from harness.network.faults import Aim
from harness.stubs.cell import Cell, Chunk, refused
from labkit.errors import RemoteError

AHEAD = 5000.0  # seconds by which a clock is ahead of all others
ROUNDING = 1e-6  # seconds; while time stands still, one moment is told as two numbers that differ in their last digits


@claim(
    "Heartbeats keep a lease alive, on the server's own clock, and no longer than the answers say",
    hint="name the leases you hold; read your clock before you send; believe `until` in the answer, nothing else",
    read="labs/03_chunkserver/README.md#part-e-life-with-the-master",
)
def test_heartbeats_keep_the_lease(make_cluster: MakeCluster) -> None:
    cell = Cell(make_cluster, 1)
    cell.cluster.skew("cs1", offset=AHEAD)
    before = cell.cluster.now()
    cell.heartbeats()
    cell.heartbeats()
    report = cell.master.reports("cs1")[-1]
    ahead = report.sent - AHEAD
    expect(
        before - ROUNDING <= ahead <= report.time + ROUNDING,
        "`sent` is not the server's own clock when it sent the report",
        expected=f"between {before + AHEAD:.1f} and {report.time + AHEAD:.1f} on a clock that is {AHEAD:g} s ahead",
        seen=f"{report.sent:.1f}",
        why="the master counts the lease from `sent`, on your clock: that is why no two clocks are compared",
    )
    chunk = cell.chunk(clock=AHEAD)
    cell.pass_time(cell.limits.lease + 15)
    cell.append(chunk, b"more than a lease after the grant")
    held = cell.master.reports("cs1", "heartbeat")[-1].leases
    expect(
        dict(held) == {chunk.handle: chunk.version},
        "the heartbeats do not say which leases are held",
        expected=f"leases: [[{chunk.handle}, {chunk.version}]]",
        seen=repr(dict(held)),
    )
    cell.master.stop_renewing()
    left = cell.master.promised["cs1", chunk.handle] - AHEAD - cell.cluster.now()
    cell.pass_time(max(0.0, left) + 1)
    data_id = cell.push(b"late")
    refused(
        "not_primary",
        lambda: cell.ask_append(chunk, data_id),
        "an append after the master has stopped renewing the lease, and its time has passed,",
    )


@claim(
    "A lease ends at once when the master revokes it or raises the version, and old grants do not bring it back",
    hint="end the lease under the chunk's lock, and remember up to which version leases have ended",
    read="labs/03_chunkserver/README.md#part-e-life-with-the-master",
)
def test_the_master_ends_a_lease(make_cluster: MakeCluster) -> None:
    cell = Cell(make_cluster, 2)
    data_id = cell.push(b"data")
    revoked, advanced = cell.chunk(), cell.chunk()
    for chunk in (revoked, advanced):
        cell.ask_append(chunk, data_id)
    cell.master.ask("cs1", "revoke_lease", {"handle": revoked.handle, "version": revoked.version})
    refused("not_primary", lambda: cell.ask_append(revoked, data_id), "an append after the lease was revoked")
    refused(
        "stale_version", lambda: cell.grant(revoked), "a grant, sent before it was revoked, that comes late"
    )
    refused(
        "not_primary", lambda: cell.ask_append(revoked, data_id), "an append under a lease that was revoked"
    )
    old = Chunk(advanced.handle, advanced.servers, advanced.version)
    cell.advance(advanced)
    refused(
        ("not_primary", "stale_version"),
        lambda: cell.ask_append(old, data_id),
        "an append under a lease older than the replica's version",
    )
    refused(
        "stale_version",
        lambda: cell.apply("cs2", old, 2, 0, data_id),
        "a secondary's mutation of the version before",
        why="a primary that has lost its lease must not mutate among those of its successor",
    )
    refused("stale_version", lambda: cell.grant(old), "a grant of the version before")
    cell.grant(advanced)
    offset = cell.ask_append(advanced, data_id)
    for name in cell.names:
        cell.holds(name, advanced, offset, b"data", "as the first append of a new version")
    cell.cluster.set_rate(0.0)  # what waits, waits until time jumps
    a_secondary_waits(cell)
    a_primary_waits(cell)


def a_secondary_waits(cell: Cell) -> None:
    """For a number that does not come, while the version goes up."""
    chunk = cell.bare_chunk()
    cell.mutate("cs2", chunk, 1, 0, b"first")
    waiting = cell.begin_apply("cs2", chunk, 3, 5, cell.push(b"third"))
    cell.cluster.await_quiet(lambda: waiting.done)
    cell.advance(chunk)
    before = cell.read("cs2", chunk, 0, 100)
    with contextlib.suppress(RemoteError):  # what counts is what it has done
        cell.finish(waiting)
    after = cell.read("cs2", chunk, 0, 100)
    expect(
        after == before,
        "a secondary applied a mutation of an older version after it had answered advance_version",
        expected="stale_version for a mutation whose turn comes when the version has gone up",
        seen=f"{before!r} before its turn, {after!r} then; it was answered with {waiting.said}",
        why="a primary that has lost its lease must not mutate among those of its successor",
    )


def a_primary_waits(cell: Cell) -> None:
    """For the append before it, while the lease is revoked, and a new one granted."""
    chunk, network = cell.chunk(), cell.cluster.network
    one, other = cell.push(b"one"), cell.push(b"other")
    held = network.hold(Aim("apply", "reply", sender="cs2", receiver="cs1", times=None))
    first = cell.begin_append(chunk, one)
    cell.until(held.first.is_set, "the answer of cs2 to the first mutation", first)
    second = cell.begin_append(chunk, other)
    # Either the primary lets the second pass the first, and then its mutation is out before the lease is revoked; or
    # the second waits for the first inside the primary, and comes to its turn when there is another lease.
    cell.cluster.await_quiet(lambda: second.done)

    def ends() -> dict[str, Any]:
        cell.master.ask("cs1", "revoke_lease", {"handle": chunk.handle, "version": chunk.version})
        cell.advance(chunk)
        cell.grant(chunk)
        return {}

    ending = cell.begin(ends, "revoke_lease, advance_version and grant_lease")
    answered = cell.cluster.await_quiet(lambda: ending.done)
    begun = ordered(cell, chunk)
    network.release(held)
    for call in (first, second, ending):
        with contextlib.suppress(RemoteError):  # whether they failed is not the question
            cell.finish(call)
    late = sorted(ordered(cell, chunk) - begun)
    expect(
        not answered or not late,
        "an append that waited inside the primary while its lease was revoked is ordered all the same",
        expected="not_primary or stale_version for an append whose turn comes after the lease of its version",
        seen=f"serial numbers and versions that left cs1 for the first time after that: {late}",
        why="after the answer to revoke_lease no mutation of that lease starts",
    )


def ordered(cell: Cell, chunk: Chunk) -> set[tuple[int, int]]:
    """Serial number and version of each mutation that cs1 has told others."""
    frames = cell.cluster.network.frames("apply", "request", sender="cs1")
    told: list[Any] = [frame.header.get("args") or {} for frame in frames]
    return {(args["serial"], args["version"]) for args in told if args.get("handle") == chunk.handle}

"""Lab 3 part E: answers to heartbeats that take their time."""

from __future__ import annotations

from harness.fixtures import MakeCluster
from harness.grading import claim, expect
from harness.network.faults import Aim
from harness.stubs.cell import Cell, accepted, refused

GRANTED = 30.0  # seconds of the lease before it is renewed
LATE = 0.5  # seconds that the answer takes: less than anybody waits before asking again
LONGEST = 60  # seconds in which a heartbeat comes


@claim(
    "An answer that renews a lease and comes late renews it no longer than it says",
    hint="the lease ends at the `until` of the answer, on your clock, whatever your clock shows when the answer comes",
    read="labs/03_chunkserver/README.md#part-e-life-with-the-master",
)
def test_a_late_answer_renews_no_longer(make_cluster: MakeCluster) -> None:
    cell = Cell(make_cluster, 1)
    cell.cluster.set_rate(0.0)  # no lease ends before time jumps
    cell.cluster.await_quiet()
    chunk = cell.chunk(seconds=GRANTED)
    granted_until = cell.master.promised["cs1", chunk.handle]
    data_id = cell.push(b"data")
    held = cell.cluster.network.hold(Aim("heartbeat", "reply", receiver="cs1", times=None))
    for _ in range(LONGEST):
        cell.cluster.advance(1.0)
        if cell.cluster.await_quiet(held.first.is_set):
            break
    expect(held.first.is_set(), f"no heartbeat came in {LONGEST} s")
    cell.master.stop_renewing()
    leases = cell.master.reports("cs1", "heartbeat")[-1].leases
    expect(
        dict(leases) == {chunk.handle: chunk.version},
        "the heartbeats do not say which leases are held",
        expected=f"leases: [[{chunk.handle}, {chunk.version}]]",
        seen=repr(dict(leases)),
    )
    until = cell.master.promised["cs1", chunk.handle]
    cell.cluster.advance(LATE)
    cell.cluster.network.release(held)
    cell.cluster.await_quiet()
    jump_to(cell, granted_until + 1)
    accepted(
        lambda: cell.ask_append(chunk, data_id),
        "the primary does not append under a lease that the answer to a heartbeat has renewed",
        expected=f"an offset: the lease holds for {until - cell.cluster.now():.1f} s more, as the answer said, which came {LATE:g} s late",
    )
    jump_to(cell, until + LATE / 2)
    refused(
        "not_primary",
        lambda: cell.ask_append(chunk, data_id),
        f"an append {LATE / 2:g} s after the `until` that renewed the lease, in an answer that came {LATE:g} s late,",
        why="the master counts from what it has answered, and may have made another server primary: two at once",
    )


def jump_to(cell: Cell, moment: float) -> None:
    cell.cluster.advance(moment - cell.cluster.now())
    cell.cluster.await_quiet()

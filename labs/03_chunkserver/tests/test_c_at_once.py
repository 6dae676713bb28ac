"""Lab 3 part C: how the primary passes a mutation on."""

from __future__ import annotations

from harness.fixtures import MakeCluster
from harness.grading import claim, expect
from harness.network.faults import Aim
from harness.stubs.cell import Cell, accepted


@claim(
    "The primary sends a mutation to all secondaries at once",
    hint="ask each secondary in a thread of its own, then wait for all answers",
    read="labs/03_chunkserver/README.md#part-c-one-order-for-all",
)
def test_secondaries_are_asked_at_once(make_cluster: MakeCluster) -> None:
    cell = Cell(make_cluster, 3)
    chunk = cell.chunk()
    data_id = cell.push(b"data")
    cell.cluster.set_rate(0.0)  # nobody gives up, however long a request is on its way
    for slow, other in (("cs2", "cs3"), ("cs3", "cs2")):
        before = len(told(cell, other))
        held = cell.cluster.network.hold(Aim("apply", "request", receiver=slow, times=None))
        append = cell.begin_append(chunk, data_id)
        cell.until(held.first.is_set, f"that the primary asks {slow} to apply an append", append)
        cell.cluster.await_quiet()
        expect(
            len(told(cell, other)) > before,
            "the primary asks one secondary after the other",
            expected=f"an apply to {other} while the one to {slow} is still on its way",
            seen=f"nothing more to {other}, and nobody is at work",
            why="a mutation takes as long as all secondaries together, instead of as long as the slowest (GFS §3.1 step 5)",
        )
        cell.cluster.network.release(held)
        accepted(
            append.result,
            f"an append failed although nothing was wrong but that an apply took long to {slow}",
            expected="an offset",
        )


def told(cell: Cell, name: str) -> list[object]:
    return list(cell.cluster.network.frames("apply", "request", sender="cs1", receiver=name))

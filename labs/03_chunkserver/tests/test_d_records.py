"""Lab 3 part D: many records side by side, over several chunks, while mutations get lost: what the checker says."""

from __future__ import annotations

from typing import Any

from harness.fixtures import MakeCluster
from harness.grading import claim, expect
from harness.network.faults import Aim
from harness.network.frame import Frame
from harness.stubs.cell import Cell
from harness.stubs.record_file import RecordFile

WRITERS, RECORDS = 3, 8
EVERY = 4  # the mutation with every fourth serial number never comes to one secondary


@claim(
    "Whatever mutations get lost, records are whole, in one chunk each, and where their answers said",
    hint="a failure may leave a copy or a gap; what is acknowledged is at its offset on every replica",
    read="labs/03_chunkserver/README.md#part-d-record-append",
)
def test_records_survive_lost_mutations(make_cluster: MakeCluster) -> None:
    cell = Cell(make_cluster, 3)
    file = RecordFile(cell)
    lost = cell.cluster.network.drop(
        Aim("apply", "request", receiver="cs3", times=None, only=lambda frame: serial_of(frame) % EVERY == 2)
    )
    for turn in range(RECORDS):
        sizes = [100 + 190 * (turn + writer) % 800 for writer in range(WRITERS)]
        calls = [file.begin_append(writer, turn + 1, size) for writer, size in enumerate(sizes, 1)]
        for call in calls:
            cell.finish(call)
    cell.cluster.network.remove(lost)
    file.judge()
    expect(
        file.chunks > 1,
        "all records went into one chunk",
        expected="chunk_full, and another chunk, when a record does not fit",
    )


def serial_of(frame: Frame) -> int:
    args: Any = frame.header.get("args")
    return int(args["serial"])

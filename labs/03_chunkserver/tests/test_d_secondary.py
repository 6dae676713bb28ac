"""Lab 3 part D: what an append does to a secondary that is longer than the new primary."""

from __future__ import annotations

from harness.differences import difference
from harness.failures import LabFailure
from harness.fixtures import MakeCluster
from harness.grading import claim, expect
from harness.stubs.cell import Cell, Chunk
from labkit.errors import RemoteError

KEPT = b"acknowledged " * 50  # 650 bytes: the second block of 512 begins in it
FAILED = b"the rest of an append that failed elsewhere " * 20  # 880 bytes: it ends in the third


@claim(
    "What an append puts at a secondary is the end of its replica, although it was longer before",
    hint="without `overwrite`, cut off what lies behind the data, durably: in the length on record as well",
    read="labs/03_chunkserver/README.md#part-d-record-append",
)
def test_an_append_is_the_end(make_cluster: MakeCluster) -> None:
    cell = Cell(make_cluster, 1)
    # It ends in the block where the rest begins, at the end of that block, and in the last block of the rest.
    for size in (20, 374, len(FAILED) - 10):
        chunk, record = cell.bare_chunk(), b"R" * size
        cell.mutate("cs1", chunk, 1, 0, KEPT)
        cell.mutate("cs1", chunk, 2, len(KEPT), FAILED)
        cell.advance(chunk)
        cell.mutate("cs1", chunk, 1, len(KEPT), record)
        append = f"an append of {size} bytes at {len(KEPT)} of a replica of {len(KEPT + FAILED)} bytes"
        ends_with(cell, chunk, record, f"after {append}, by the primary of a new version")
        cell.cluster.restart("cs1")
        ends_with(cell, chunk, record, f"after {append}, and a restart")


def ends_with(cell: Cell, chunk: Chunk, record: bytes, when: str) -> None:
    """LabFailure unless the replica is KEPT and the record, and no byte more."""
    whole = KEPT + record
    try:
        found = cell.read("cs1", chunk, 0, cell.limits.chunk_size)
    except RemoteError as error:
        raise LabFailure(
            f"cs1 does not serve its replica {when}", expected=f"{len(whole)} bytes", seen=str(error)
        ) from error
    expect(
        found == whole,
        f"a secondary's replica does not end where the append ends {when}"
        if found.startswith(whole)
        else f"a secondary's replica is wrong {when}",
        expected=f"{len(whole)} bytes: what lay behind the new record was left by an append that failed",
        seen=difference(found, whole),
        why="replicas would differ in length, and a later primary go on elsewhere than the others end",
    )
    length = cell.lengths(chunk)["cs1"]
    expect(
        length == len(whole),
        f"the inventory has another length than the replica {when}",
        expected=len(whole),
        seen=length,
    )

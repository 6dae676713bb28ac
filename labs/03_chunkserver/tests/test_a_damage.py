"""Lab 3 part A: a damaged replica stays damaged: appends behind the damage, and where it is still named."""

from __future__ import annotations

import itertools

from harness.differences import difference
from harness.fixtures import MakeCluster
from harness.grading import claim, expect
from harness.stubs.cell import Cell, Chunk, refused
from harness.stubs.damage import damage, served
from labkit.errors import RemoteError

RECORD = bytes(range(65, 91)) * 30  # 780 bytes: a block of 512, and 268 of the next
# (where in the last block a bit flips, how much is appended): it stays in the block, fills it, and reaches beyond
APPENDS = (512, 40), (650, 244), (779, 600)


@claim(
    "An append to a damaged block does not make the damage look right",
    hint="continue the checksum on record with the new bytes; do not compute it again from what the disk has",
    read="labs/03_chunkserver/README.md#part-a-storage-that-notices-damage",
)
def test_an_append_behind_damage(make_cluster: MakeCluster) -> None:
    cell = Cell(make_cluster, 1)
    for running, (flipped, length) in itertools.product((False, True), APPENDS):
        chunk = cell.bare_chunk()
        cell.mutate("cs1", chunk, 1, 0, RECORD)
        damage(cell, "cs1", RECORD, flipped, running=running)
        data_id = cell.push(b"n" * length)
        said = "done"
        try:
            cell.finish(cell.begin_apply("cs1", chunk, 2, len(RECORD), data_id))
        except RemoteError as error:
            said = error.code
        what = f"an append of {length} bytes behind it was answered with {said}"
        right_or_refused(cell, chunk, flipped, what)
        cell.cluster.restart("cs1")
        right_or_refused(cell, chunk, flipped, f"{what}, and the server restarted")


def right_or_refused(cell: Cell, chunk: Chunk, flipped: int, what: str) -> None:
    """LabFailure unless the record is refused as damaged, or comes as it was, from memory as it were."""
    found = served(cell, "cs1", chunk, len(RECORD), what)
    if found is None:
        return
    expect(
        found == RECORD,
        f"damage at byte {flipped} is served as if it were right, after an append behind it"
        if len(found) == len(RECORD)
        else "acknowledged bytes are missing, after an append behind damage",
        expected="corrupt",
        seen=f"{difference(found, RECORD)}; {what}",
        why="the new checksum was computed from bytes that nobody had verified (GFS §5.2)"
        if len(found) == len(RECORD)
        else "a reader that is told fewer bytes takes them for the end of the replica",
    )


@claim(
    "A replica that was found damaged is listed no more among those that are stored",
    hint="name it among the damaged in heartbeats; `inventory` and `register` have no word for damage, so leave it out",
    read="labs/03_chunkserver/README.md#part-a-storage-that-notices-damage",
)
def test_damage_is_not_listed(make_cluster: MakeCluster) -> None:
    cell = Cell(make_cluster, 1)
    healthy, broken = cell.bare_chunk(), cell.bare_chunk()
    cell.mutate("cs1", healthy, 1, 0, b"a healthy chunk")
    cell.mutate("cs1", broken, 1, 0, RECORD)
    damage(cell, "cs1", RECORD, 100)
    refused(
        "corrupt", lambda: cell.read("cs1", broken, 0, len(RECORD)), "a read of a block with a flipped bit"
    )
    cell.cluster.await_quiet()  # the registration of its start, when nobody knew yet, is over
    stored = cell.stored("cs1")
    expect(
        list(stored) == [healthy.handle],
        "the inventory has another list of chunks than those that are stored intact",
        expected=f"chunk {healthy.handle}, and no more chunk {broken.handle}, which was refused as corrupt",
        seen=f"chunks {sorted(stored)}",
        why="who looks for a replica there would take the damaged one for a good one",
    )
    since = cell.cluster.now()
    cell.master.forget.add("cs1")
    # On a busy machine time may pass before an answer is read, and the server has every right to ask again.
    for _ in range(10):
        cell.heartbeats()
        if cell.master.reports("cs1", "register", since):
            break
    reports = cell.master.reports("cs1", "register", since)
    expect(reports, "a chunkserver that the master does not know has not registered again")
    expect(
        list(reports[-1].chunks) == [healthy.handle],
        "a chunkserver has registered with another list of chunks than those that are stored intact",
        expected=f"chunk {healthy.handle}, and no more chunk {broken.handle}, which was refused as corrupt",
        seen=f"chunks {sorted(reports[-1].chunks)}",
        why="the master would hand a damaged replica out as a good one",
    )

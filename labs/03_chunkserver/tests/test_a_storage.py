"""Lab 3 part A: what was acknowledged survives every crash, and no flipped bit is ever served."""

from __future__ import annotations

from pathlib import Path

from harness import disk_faults
from harness.differences import difference
from harness.failures import LabFailure
from harness.fixtures import MakeCluster
from harness.grading import claim, expect
from harness.stubs.cell import Cell, refused
from harness.stubs.damage import served

RECORD = b"The quick brown fox jumps over the lazy dog. " * 20  # 900 bytes: two blocks, the second not full
GAP = 8  # bytes between the end of a replica and the next mutation
EVENLY, NEAR_THE_END = 6, 8  # flips per file


@claim(
    "What is acknowledged survives a crash at every disk operation of a later mutation",
    hint="data, sync, then what says that it is valid, sync, then the answer",
    read="labs/03_chunkserver/README.md#part-a-storage-that-notices-damage",
)
def test_acknowledged_bytes_survive(make_cluster: MakeCluster) -> None:
    cell = Cell(make_cluster, 1)
    first, second = (
        b"first " * 80,
        b"x" * 100,
    )  # the second begins in the block of the first, and ends in the next
    end = len(first)
    clean = cell.bare_chunk()
    cell.mutate("cs1", clean, 1, 0, first)
    before = len(cell.cluster.operations("cs1"))
    cell.mutate("cs1", clean, 2, end, second)
    points = len(cell.cluster.operations("cs1")) - before
    expect(points > 0, "a mutation was answered without writing anything to the disk")
    for operation in range(1, points + 1):
        for when in ("before", "half", "after"):
            chunk = cell.bare_chunk()
            cell.mutate("cs1", chunk, 1, 0, first)
            data_id = cell.push(second)
            promised = [(0, first)]
            cell.cluster.crash_at("cs1", operation, when)
            try:
                cell.apply("cs1", chunk, 2, end, data_id)
                promised.append((end, second))
            except LabFailure:
                cell.cluster.wait_dead("cs1")
            cell.cluster.restart("cs1")
            crash = f"after a crash {disk_faults.moment(when, operation)} of {points} of a mutation"
            for offset, data in promised:
                cell.holds("cs1", chunk, offset, data, crash)
            # What the crash left behind the replica's end must not come through, nor stand in the way.
            offset, last = promised[-1]
            behind = offset + len(last)
            gap = cell.read("cs1", chunk, behind, GAP).ljust(GAP, b"\0")
            promised.append((behind + GAP, b"next"))
            data_id = cell.push(b"next")
            cell.finish(cell.begin_apply("cs1", chunk, 3, behind + GAP, data_id))
            for offset, data in promised:
                cell.holds("cs1", chunk, offset, data, f"and one more mutation, {crash}")
            found = cell.read("cs1", chunk, behind, GAP)
            expect(
                found == gap,
                f"the gap before a mutation that begins behind the end is not zeros {crash}",
                expected=repr(gap),
                seen=repr(found),
            )


@claim(
    "A flipped bit in a record is not served, and the master hears of it",
    hint="verify every block a read touches before you answer, and remember which replica failed",
    read="labs/03_chunkserver/README.md#part-a-storage-that-notices-damage",
)
def test_flipped_bits(make_cluster: MakeCluster) -> None:
    cell = Cell(make_cluster, 1)
    healthy = cell.bare_chunk()
    damaged = [(cell.bare_chunk(), RECORD), (cell.bare_chunk(), RECORD[::-1])]
    other = b"another chunk " * 50
    for chunk, data in (*damaged, (healthy, other)):
        cell.mutate("cs1", chunk, 1, 0, data)
    cell.cluster.crash("cs1")
    for _, data in damaged:
        mark = data[:60]
        for path in disk_faults.files_with(cell.cluster, "cs1", mark):
            disk_faults.flip_bit(path, path.read_bytes().index(mark) + 30)
    cell.cluster.start("cs1")
    for chunk, data in damaged:
        refused(
            "corrupt",
            lambda chunk=chunk, data=data: cell.read("cs1", chunk, 0, len(data)),
            "a read of a block with a flipped bit",
        )
    cell.holds("cs1", healthy, 0, other, "of a chunk whose neighbour is damaged")
    cell.heartbeats()
    cell.heartbeats()
    last = cell.master.reports("cs1", "heartbeat")[-1]
    handles = [chunk.handle for chunk, _ in damaged]
    expect(
        sorted(last.damaged) == handles,
        "the heartbeats do not say which replicas are damaged",
        expected=f"damaged: {handles}",
        seen=f"damaged: {list(last.damaged)}",
        why="the master makes a new replica from a good one only when it knows (GFS §5.2)",
    )


@claim(
    "Wherever on the disk a bit flips, a read gives the right bytes or none",
    hint="what says how long a replica is needs a checksum as well, and its last entry too",
    read="labs/03_chunkserver/README.md#part-a-storage-that-notices-damage",
)
def test_a_flip_anywhere(make_cluster: MakeCluster) -> None:
    cell = Cell(make_cluster, 1)
    chunk = cell.bare_chunk()
    whole = RECORD + b"last"
    cell.mutate("cs1", chunk, 1, 0, RECORD)
    cell.mutate("cs1", chunk, 2, len(RECORD), b"last")
    expect(cell.read("cs1", chunk, 0, 4096) == whole, "two records in an empty chunk are not its contents")
    cell.cluster.crash("cs1")
    disk = cell.cluster.nodes["cs1"].disk
    image = {path: path.read_bytes() for path in disk.iterdir()}
    for path, content in image.items():
        for position in positions(len(content)):
            restore(disk, image)
            disk_faults.flip_bit(path, position)
            cell.cluster.start("cs1")
            where = f"bit 2 of byte {position} of the {len(content)} in the file {path.name}"
            found = served(cell, "cs1", chunk, 4096, f"after a flip of {where}")
            expect(
                found in (None, whole),
                "a damaged replica was served",
                expected=f"the error corrupt, or the {len(whole)} bytes that were acknowledged",
                seen=f"{difference(found or b'', whole)}, after a flip of {where}",
                why="a reader that is told fewer or other bytes takes them for the truth",
            )
            cell.cluster.crash("cs1")


def positions(size: int) -> list[int]:
    """Evenly over the file, and close together at its end, where the last thing that was written stands."""
    even = {size * step // EVENLY for step in range(EVENLY)}
    end = {size - 1 - 6 * step for step in range(NEAR_THE_END)}
    return sorted(position for position in even | end if 0 <= position < size)


def restore(disk: Path, image: dict[Path, bytes]) -> None:
    for path in disk.iterdir():
        if path not in image:
            path.unlink()
    for path, content in image.items():
        path.write_bytes(content)

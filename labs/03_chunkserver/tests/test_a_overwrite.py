"""Lab 3 part A: writing over bytes that count, while the power may fail and the disk may lie."""

from __future__ import annotations

from harness import disk_faults
from harness.failures import LabFailure
from harness.fixtures import MakeCluster
from harness.grading import claim, expect
from harness.stubs.cell import Cell, Chunk
from harness.stubs.damage import damage
from labkit.errors import RemoteError

OLD = b"old " * 250, b"rest" * 50  # 1200 bytes: two blocks of 512, and a part of the third
WHOLE = b"".join(OLD)
OFFSET, NEW = 300, b"NEW!" * 150  # begins inside the first block, ends inside the second
END = OFFSET + len(NEW)


@claim(
    "A crash in the middle of an overwrite costs no byte beside it, and does not look like damage",
    hint="before you write over a byte, have on the disk what it takes to finish the work after a crash",
    read="labs/03_chunkserver/README.md#part-a-storage-that-notices-damage",
)
def test_an_overwrite_survives_every_crash(make_cluster: MakeCluster) -> None:
    cell = Cell(make_cluster, 1)
    clean = old_chunk(cell)
    before = len(cell.cluster.operations("cs1"))
    cell.apply("cs1", clean, 3, OFFSET, cell.push(NEW), overwrite=True)
    points = len(cell.cluster.operations("cs1")) - before
    cell.holds("cs1", clean, 0, WHOLE[:OFFSET] + NEW + WHOLE[END:], "after an overwrite in the middle")
    expect(points > 0, "an overwrite was answered without writing anything to the disk")
    for operation in range(1, points + 1):
        for when in ("before", "half", "after"):
            chunk = old_chunk(cell)
            data_id = cell.push(NEW)
            acknowledged = False
            cell.cluster.crash_at("cs1", operation, when)
            try:
                cell.apply("cs1", chunk, 3, OFFSET, data_id, overwrite=True)
                acknowledged = True
            except LabFailure:
                cell.cluster.wait_dead("cs1")
            cell.cluster.restart("cs1")
            crash = f"after a crash {disk_faults.moment(when, operation)} of {points} of an overwrite"
            old_or_new(cell, chunk, acknowledged, crash)
            cell.finish(cell.begin_apply("cs1", chunk, 4, OFFSET, cell.push(NEW), overwrite=True))
            old_or_new(cell, chunk, True, f"and the same overwrite once more, {crash}")
            cell.cluster.restart("cs1")
            old_or_new(cell, chunk, True, f"a second overwrite and a restart, {crash}")


def old_chunk(cell: Cell) -> Chunk:
    chunk = cell.bare_chunk()
    cell.mutate("cs1", chunk, 1, 0, OLD[0])
    cell.mutate("cs1", chunk, 2, len(OLD[0]), OLD[1])
    return chunk


def old_or_new(cell: Cell, chunk: Chunk, acknowledged: bool, when: str) -> None:
    try:
        found = cell.read("cs1", chunk, 0, 4096)
    except RemoteError as error:
        raise LabFailure(
            f"bytes that were acknowledged before an overwrite are not served {when}",
            expected="the old bytes, or the new ones where they were to be",
            seen=str(error),
            why="a crash is no damage: thousands of servers crash, and each would lose replicas",
        ) from error
    expect(
        found[:OFFSET] == WHOLE[:OFFSET] and found[END:] == WHOLE[END:],
        f"an overwrite has changed bytes beside its own {when}",
        expected=f"{len(WHOLE)} bytes, of which only {OFFSET} to {END} may be new",
        seen=f"{len(found)} bytes, different at {differences(found, WHOLE)}",
    )
    inside = found[OFFSET:END]
    expect(
        inside == NEW
        if acknowledged
        else all(byte in pair for byte, *pair in zip(inside, NEW, WHOLE[OFFSET:END], strict=True)),
        f"an overwrite left bytes {when} that nobody wrote there"
        if not acknowledged
        else f"an acknowledged overwrite is not there {when}",
        expected="the new bytes" if acknowledged else "at each place the old byte or the new one",
        seen=repr(inside[:40]),
    )


def differences(found: bytes, whole: bytes) -> list[int]:
    pairs = enumerate(zip(found, whole, strict=False))
    return [at for at, (one, other) in pairs if one != other and not OFFSET <= at < END][:3]


@claim(
    "An overwrite of a part of a damaged block does not make the damage look right",
    hint="what an overwrite keeps of its first and its last block gets a new checksum: verify those blocks first",
    read="labs/03_chunkserver/README.md#part-a-storage-that-notices-damage",
)
def test_an_overwrite_beside_damage(make_cluster: MakeCluster) -> None:
    cell = Cell(make_cluster, 1)
    record = bytes(range(65, 91)) * 30  # 780 bytes
    # (where a bit flips, where is written, how much): beside it in the first block, and in the last
    for flipped, offset, length in ((10, 200, 400), (700, 100, 500), (520, 0, 514)):
        chunk = cell.bare_chunk()
        cell.mutate("cs1", chunk, 1, 0, record)
        damage(cell, "cs1", record, flipped)
        data_id = cell.push(b"n" * length)
        said = "done"
        try:
            cell.finish(cell.begin_apply("cs1", chunk, 2, offset, data_id, overwrite=True))
        except RemoteError as error:
            said = error.code
        try:
            found = cell.read("cs1", chunk, flipped, 1)
        except RemoteError as error:
            expect(
                error.code == "corrupt",
                "a damaged replica is refused for another reason",
                expected="corrupt",
                seen=str(error),
            )
        else:
            expect(
                found == record[flipped : flipped + 1],
                f"damage at byte {flipped} is served as if it were right, after an overwrite beside it"
                if found
                else f"byte {flipped}, which was damaged, is missing after an overwrite beside it: none is served",
                expected="corrupt",
                seen=f"{found!r} instead of {record[flipped : flipped + 1]!r}; "
                f"an overwrite of bytes {offset} to {offset + length} was answered with {said}",
                why="the new checksum was computed from bytes that nobody had verified (GFS §5.2)"
                if found
                else "a reader that is told fewer bytes takes them for the end of the replica",
            )

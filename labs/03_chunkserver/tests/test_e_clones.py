"""Lab 3 part E: what a clone is, and what it takes the place of."""

from __future__ import annotations

from harness import disk_faults
from harness.failures import LabFailure
from harness.fixtures import MakeCluster
from harness.grading import claim, expect
from harness.stubs.cell import Cell, Chunk, refused
from harness.stubs.peer import ScriptedPeer
from labkit.checksum import crc32c


@claim(
    "A clone is whole or it is none: its version is the master's, its bytes match, and a crash leaves no half of it",
    hint="compare the source's version, verify what arrives, and let the last disk operation make it a replica",
    read="labs/03_chunkserver/README.md#part-e-life-with-the-master",
)
def test_a_clone_is_whole(make_cluster: MakeCluster) -> None:
    cell = Cell(make_cluster, 2)
    chunk = cell.bare_chunk("cs1")
    record = b"a record that is copied, " * 40
    cell.mutate("cs1", chunk, 1, 0, record)
    refused(
        "replica_failed",
        lambda: cell.clone("cs2", chunk, "cs1", version=chunk.version + 1),
        "a clone at a version that its source has not got",
        why="a stale replica would pass for a current one",
    )
    checksums = cell.client.ask("cs1", "checksums", {"handle": chunk.handle})
    crcs = [crc32c(record[at : at + 512]) for at in range(0, len(record), 512)]
    expect(
        checksums == {"version": chunk.version, "length": len(record), "blocks": crcs},
        "checksums does not say what docs/protocol.md asks for",
        expected=f"version {chunk.version}, length {len(record)}, the CRC32C of each block: {crcs}",
        seen=repr(checksums),
    )
    liar = {"version": chunk.version, "length": len(record)}
    ScriptedPeer(
        cell.cluster,
        "liar",
        {
            "checksums": lambda **_: checksums,
            "read": lambda offset, length, **_: (liar, bytes(len(record))[offset : offset + length]),
        },
    )
    refused(
        "replica_failed",
        lambda: cell.clone("cs2", chunk, "liar"),
        "a clone of which the bytes arrive, but not as the source's checksums say,",
        why="verified on both sides: the network and the memory of two machines lie between them",
    )
    nothing(cell, chunk, "after three clones that were refused")
    before = len(cell.cluster.operations("cs2"))
    cell.clone("cs2", chunk, "cs1")
    points = len(cell.cluster.operations("cs2")) - before
    cell.holds("cs2", chunk, 0, record, "after a clone")
    for operation in range(1, points + 1):
        for when in ("before", "after"):
            cell.cluster.replace("cs2")
            crash = f"after a crash {disk_faults.moment(when, operation)} of {points} of a clone"
            cell.cluster.crash_at("cs2", operation, when)
            try:
                cell.clone("cs2", chunk, "cs1")
            except LabFailure:
                cell.cluster.wait_dead("cs2")
                cell.cluster.restart("cs2")
                if chunk.handle not in cell.stored("cs2"):
                    cell.clone("cs2", chunk, "cs1")
                    crash = f"once the clone was made again, {crash}"
            else:
                cell.cluster.restart("cs2")
            cell.holds("cs2", chunk, 0, record, crash)
    what_is_worse_gives_way(cell)
    nothing_is_cloned_too(cell)


def what_is_worse_gives_way(cell: Cell) -> None:
    """A clone on a server with an older replica of the chunk, and with a damaged one."""
    chunk = cell.bare_chunk()
    old, new = (word * 20 for word in (b"what there was once, ", b"what there is by now "))
    cell.mutate("cs1", chunk, 1, 0, new)
    cell.mutate("cs2", chunk, 1, 0, old)
    cell.master.advance(chunk.handle, ["cs1"], chunk.version, chunk.version + 1)
    chunk.version += 1
    cell.clone("cs2", chunk, "cs1")
    cell.holds("cs2", chunk, 0, new, "after a clone, where an older replica was")
    cell.cluster.crash("cs2")
    for path in cell.cluster.nodes["cs2"].disk.iterdir():
        if new in (content := path.read_bytes()):
            disk_faults.flip_bit(path, content.index(new) + 30)
    cell.cluster.start("cs2")
    refused("corrupt", lambda: cell.read("cs2", chunk, 0, len(new)), "a read of a block with a flipped bit")
    cell.clone("cs2", chunk, "cs1")
    cell.holds("cs2", chunk, 0, new, "after a clone, where a damaged replica was")


def nothing_is_cloned_too(cell: Cell) -> None:
    """A replica without a byte: its file may have been created just before a server died."""
    empty = cell.bare_chunk("cs1")
    cell.clone("cs2", empty, "cs1")
    expect(
        cell.stored("cs2").get(empty.handle) == (empty.version, 0),
        "the clone of an empty replica is none",
        expected=f"chunk {empty.handle} at version {empty.version}, with 0 bytes",
        seen=repr(cell.stored("cs2")),
    )


def nothing(cell: Cell, chunk: Chunk, when: str) -> None:
    stored = cell.stored("cs2")
    expect(
        chunk.handle not in stored,
        f"cs2 stores a replica {when}",
        expected=f"no chunk {chunk.handle}",
        seen=repr(stored),
    )

"""Lab 3 part A: files that are short or gone, a disk that is full, and replicas made from damaged ones."""

from __future__ import annotations

import itertools

from harness import disk_faults
from harness.differences import difference
from harness.failures import LabFailure
from harness.fixtures import MakeCluster
from harness.grading import claim, expect
from harness.stubs.cell import Cell, Chunk, refused
from harness.stubs.damage import WRONG, damage, served
from labkit.errors import RemoteError


@claim(
    "A file that is short or gone is noticed, by the reader and by the master, and costs only its own chunk",
    hint="fewer bytes than the log says are a mismatch; what cannot be recovered is damaged, and the rest goes on",
    read="labs/03_chunkserver/README.md#part-a-storage-that-notices-damage",
)
def test_a_file_that_is_short_or_gone(make_cluster: MakeCluster) -> None:
    cell = Cell(make_cluster, 1)
    for how, running in itertools.product(("cut short", "lost"), (False, True)):
        chunk, healthy = cell.bare_chunk(), cell.bare_chunk()
        record = b"a record of chunk %d. " % chunk.handle * 40
        cell.mutate("cs1", chunk, 1, 0, record)
        cell.mutate("cs1", healthy, 1, 0, b"a healthy chunk")
        files = disk_faults.files_with(cell.cluster, "cs1", record)
        if not running:
            cell.cluster.crash("cs1")
        for path in files:
            if how == "lost":
                disk_faults.lose(cell.cluster, "cs1", path)
            else:
                disk_faults.cut_short(path, path.read_bytes().index(record) + 100)
        if not running:
            cell.cluster.start("cs1")
        what = f"the file with its bytes was {how} while the server was {'running' if running else 'down'}"
        found = served(cell, "cs1", chunk, len(record), what)
        if found is not None:  # from memory, as it were
            expect(
                found == record,
                "a damaged replica was served",
                expected="corrupt",
                seen=f"{difference(found, record)}; {what}",
            )
            continue
        cell.holds("cs1", healthy, 0, b"a healthy chunk", f"although only another chunk is damaged: {what}")
        cell.heartbeats()
        cell.heartbeats()
        last = cell.master.reports("cs1", "heartbeat")[-1]
        expect(
            chunk.handle in last.damaged or chunk.handle not in last.chunks,
            "the master takes a damaged replica for a good one",
            expected=f"chunk {chunk.handle} among the damaged, or not among those that are here",
            seen=f"damaged: {list(last.damaged)}, chunks: {sorted(last.chunks)}; {what}",
            why="the master makes a new replica only when it knows that one is lost (GFS §5.2)",
        )


@claim(
    "A full disk is an error to whoever writes, and costs nothing that was acknowledged",
    hint="OSError while you write is a no; have the log say only what is safe, and try again when there is room",
    read="labs/03_chunkserver/README.md#part-a-storage-that-notices-damage",
)
def test_a_full_disk(make_cluster: MakeCluster) -> None:
    cell = Cell(make_cluster, 1)
    first, second = b"first " * 100, b"second" * 100
    for free, overwrite in itertools.product((0, 100, 600, 700, 900, 2000), (False, True)):
        chunk = cell.bare_chunk()
        cell.mutate("cs1", chunk, 1, 0, first)
        offset = 300 if overwrite else len(first)
        data_id = cell.push(second)
        disk_faults.leave_room(cell.cluster, "cs1", free)
        when = f"after a mutation with {free} bytes of room on the disk"
        promised = [(0, first[:offset])]
        try:
            cell.apply("cs1", chunk, 2, offset, data_id, overwrite=overwrite)
            promised.append((offset, second))
        except RemoteError as error:
            when += f", which was answered with {error.code}"
        everything(cell, chunk, promised, when)
        cell.cluster.restart("cs1")
        everything(cell, chunk, promised, f"{when}, and a restart with room again")
        cell.finish(cell.begin_apply("cs1", chunk, 3, offset, cell.push(second), overwrite=overwrite))
        everything(cell, chunk, [(0, first[:offset]), (offset, second)], f"{when}, and the same once more")


def everything(cell: Cell, chunk: Chunk, promised: list[tuple[int, bytes]], when: str) -> None:
    for offset, data in promised:
        cell.holds("cs1", chunk, offset, data, when)


@claim(
    "Nothing is made from a damaged replica: no clone on another server, no copy on its own",
    hint="verify what you read before you send it or copy it, and let the error be the answer",
    read="labs/03_chunkserver/README.md#part-a-storage-that-notices-damage",
)
def test_nothing_wrong_is_copied_on(make_cluster: MakeCluster) -> None:
    cell = Cell(make_cluster, 2)
    chunk = cell.bare_chunk("cs1")
    record = b"sphinx of black quartz, judge my vow " * 25
    cell.mutate("cs1", chunk, 1, 0, record)
    damage(cell, "cs1", record, 700)
    copy = cell.new_handle()
    refused(
        WRONG,
        lambda: cell.copy("cs1", chunk, copy),
        "a copy of a replica with a flipped bit",
        why="the copy would have good checksums of bad bytes, for ever",
    )
    refused(
        "replica_failed", lambda: cell.clone("cs2", chunk, "cs1"), "a clone of a replica with a flipped bit"
    )
    cell.cluster.restart("cs2")
    for name, handle in (("cs1", copy), ("cs2", chunk.handle)):
        stored = cell.stored(name)
        if handle in stored:
            raise LabFailure(f"{name} has made a replica from a damaged one", seen=repr(stored))

"""Lab 3 part D: the primary says where a record goes, for all replicas, and what happens when it does not fit."""

from __future__ import annotations

from harness.failures import LabFailure
from harness.fixtures import MakeCluster
from harness.grading import claim, expect
from harness.network.faults import Aim
from harness.stubs.cell import Cell, Chunk, refused
from labkit.errors import RemoteError

ATTEMPTS = 10


@claim(
    "The primary chooses one offset for all replicas, for appends side by side as well",
    hint="choose the offset and the serial number and write, all under one lock of the chunk",
    read="labs/03_chunkserver/README.md#part-d-record-append",
)
def test_one_offset_for_all(make_cluster: MakeCluster) -> None:
    cell = Cell(make_cluster, 3)
    chunk = cell.chunk()
    records = [bytes([65 + number]) * (400 + 13 * number) for number in range(8)]
    ids = [cell.push(record) for record in records]
    placed = [(cell.ask_append(chunk, ids[0]), records[0])]
    cell.cluster.set_rate(0.0)  # nothing times out, so all of them have to get through
    calls = [cell.begin_append(chunk, data_id) for data_id in ids[1:]]
    for call, record in zip(calls, records[1:], strict=True):
        try:
            placed.append((call.result()["offset"], record))
        except RemoteError as error:
            raise LabFailure(
                "appends side by side fail although nothing was wrong", expected="8 offsets", seen=str(error)
            ) from error
    no_overlap(placed)
    for offset, record in placed:
        for name in cell.names:
            cell.holds(name, chunk, offset, record, "after eight appends, seven of them side by side")
    big = [frame.size for frame in cell.cluster.network.frames("apply", "request") if frame.size > 300]
    expect(
        not big,
        "the data travelled once more, with the control message",
        expected="an apply that names the data's id",
        seen=f"an apply of {big[:1]} bytes",
    )
    for name in cell.names:
        cell.cluster.crash(name)
    cell.cluster.set_rate(1.0)
    cell.cluster.start(*cell.names)
    for offset, record in placed:
        for name in cell.names:
            cell.holds(name, chunk, offset, record, "after the power failed everywhere")


def no_overlap(placed: list[tuple[int, bytes]]) -> None:
    end = 0
    for offset, record in sorted(placed):
        expect(
            offset >= end,
            "two acknowledged records overlap",
            expected=f"an offset of at least {end}, where the record before ends",
            seen=f"{offset} for a record of {len(record)} bytes",
        )
        end = offset + len(record)


@claim(
    "A record that does not fit pads every replica to the end of the chunk, and is answered with chunk_full",
    hint="padding is one more mutation with a number of its own; a record that just fits still fits",
    read="labs/03_chunkserver/README.md#part-d-record-append",
)
def test_a_record_that_does_not_fit(make_cluster: MakeCluster) -> None:
    cell = Cell(make_cluster, 3)
    size, limit = cell.limits.chunk_size, cell.limits.record_limit
    chunk = cell.chunk()
    refused(
        "too_large",
        lambda: cell.ask_append(chunk, cell.push(b"z" * (limit + 1))),
        f"a record of {limit + 1} bytes, more than a quarter of the chunk,",
    )
    filled = [(cell.append(chunk, b"r" * limit), b"r" * limit) for _ in range(3)]
    small = cell.push(b"small")
    refused(
        "chunk_full",
        lambda: fill(cell, chunk),
        f"the second of two records of {limit * 2 // 3} bytes, for {limit} that are left,",
    )
    padded_everywhere(cell, chunk)
    for offset, record in filled:
        for name in cell.names:
            cell.holds(name, chunk, offset, record, "after the rest of the chunk was padded")
    for name in cell.names:
        rest = cell.read(name, chunk, size - limit + limit * 2 // 3, limit)
        expect(not any(rest), f"{name} has padded with something else than zeros", seen=repr(rest[:40]))
    refused("chunk_full", lambda: cell.ask_append(chunk, small), "a small record for a chunk that is padded")
    exact = cell.chunk()
    for _ in range(4):
        cell.append(exact, b"e" * limit)
    lengths = cell.lengths(exact)
    expect(
        set(lengths.values()) == {size},
        "four records of a quarter chunk do not fill a chunk",
        expected=f"{size} bytes everywhere",
        seen=repr(lengths),
    )
    refused(
        "chunk_full", lambda: cell.ask_append(exact, small), "a record for a chunk without a byte of room"
    )
    longer = cell.bare_chunk("cs2")
    cell.mutate("cs2", longer, 1, 0, b"kept, and the rest of an append that failed elsewhere")
    cell.apply("cs2", longer, 2, 4, None)
    found = cell.read("cs2", longer, 0, size)
    expect(
        found == b"kept".ljust(size, b"\0"),
        "padding begins elsewhere than the primary says",
        expected="zeros from the mutation's offset, 4, to the end of the chunk, over whatever was there",
        seen=f"{len(found)} bytes, {found[:60]!r} first",
        why="replicas that pad from their own ends differ",
    )


def fill(cell: Cell, chunk: Chunk) -> list[int]:
    record = b"s" * (cell.limits.record_limit * 2 // 3)
    return [cell.ask_append(chunk, cell.push(record)), cell.ask_append(chunk, cell.push(record))]


def padded_everywhere(cell: Cell, chunk: Chunk) -> None:
    size, lengths = cell.limits.chunk_size, cell.lengths(chunk)
    expect(
        set(lengths.values()) == {size},
        "not every replica was padded to the end of the chunk",
        expected=f"{size} bytes everywhere",
        seen=repr(lengths),
        why="a later primary with a shorter replica would put records where others have padding",
    )


@claim(
    "After an append that failed half-way, the next one is at one offset on all replicas",
    hint="never give an offset twice: the next record goes behind what your own replica has, failed or not",
    read="labs/03_chunkserver/README.md#part-d-record-append",
)
def test_a_failure_half_way(make_cluster: MakeCluster) -> None:
    cell = Cell(make_cluster, 3)
    chunk = cell.chunk()
    placed = [(cell.append(chunk, b"before"), b"before")]
    lost = cell.cluster.network.drop(Aim("apply", "request", receiver="cs3", times=None))
    failing = cell.begin_append(chunk, cell.push(b"missed by cs3"))
    refused("replica_failed", lambda: cell.finish(failing), "an append that never reached one replica")
    cell.cluster.network.remove(lost)
    placed.append((patiently(cell, chunk, b"after"), b"after"))
    no_overlap(placed)
    for offset, record in placed:
        for name in cell.names:
            cell.holds(name, chunk, offset, record, "although an append between two failed on one replica")


@claim(
    "chunk_full is answered only when every replica is padded",
    hint="padding that one replica missed is replica_failed; pad again when the client asks again",
    read="labs/03_chunkserver/README.md#part-d-record-append",
)
def test_padding_that_a_replica_missed(make_cluster: MakeCluster) -> None:
    cell = Cell(make_cluster, 3)
    chunk = cell.chunk()
    record = b"r" * cell.limits.record_limit
    for _ in range(3):
        cell.append(chunk, record)
    cell.append(chunk, b"one more")
    lost = cell.cluster.network.drop(Aim("apply", "request", receiver="cs2", times=None))
    data_id = cell.push(record)
    padding = cell.begin_append(chunk, data_id)
    refused(
        "replica_failed",
        lambda: cell.finish(padding),
        "an append that did not fit, when one replica had missed the padding,",
        why="were that replica primary next, it would put records where the others have padding, behind a later chunk",
    )
    cell.cluster.network.remove(lost)
    cell.cluster.set_rate(10.0)
    for _ in range(ATTEMPTS):
        try:
            cell.ask_append(chunk, data_id)
        except RemoteError as error:
            if error.code == "chunk_full":
                break
            expect(
                error.code == "replica_failed",
                "an append that does not fit was refused for another reason",
                expected="chunk_full, once every replica can be reached again",
                seen=str(error),
            )
        else:
            raise LabFailure("a record was put behind the padding", expected="chunk_full")
    padded_everywhere(cell, chunk)


def patiently(cell: Cell, chunk: Chunk, data: bytes) -> int:
    """Append as a client does, again after each replica_failed; the offset."""
    data_id = cell.push(data)
    cell.cluster.set_rate(10.0)
    for _ in range(ATTEMPTS):
        try:
            return cell.ask_append(chunk, data_id)
        except RemoteError as error:
            expect(
                error.code == "replica_failed",
                "the append after a failed one was refused for another reason",
                expected="an offset, once every replica can be reached again",
                seen=str(error),
            )
    raise LabFailure(
        f"after one append that failed, {ATTEMPTS} more failed although every replica can be reached again",
        why="a secondary that has missed one mutation has to go on with the next",
    )

"""Lab 3 part C: writes, whose place the client chooses, in one order on all replicas."""

from __future__ import annotations

from harness.differences import difference
from harness.failures import LabFailure
from harness.fixtures import MakeCluster
from harness.grading import claim, expect
from harness.network.faults import Aim
from harness.stubs.cell import Cell, Chunk, refused
from labkit.errors import RemoteError

WAITS = 0.1  # real seconds in which the other writes may come as far as they come


@claim(
    "A write puts the data where the client says on all replicas, and leaves what lies around it",
    hint="like an append with the client's offset; tell the secondaries to overwrite, so that nothing is cut off",
    read="labs/03_chunkserver/README.md#part-c-one-order-for-all",
)
def test_a_write_goes_where_the_client_says(make_cluster: MakeCluster) -> None:
    cell = Cell(make_cluster, 3)
    chunk = cell.chunk()
    record = b"record" * 100
    cell.append(chunk, record)
    inside, behind = b"W" * 300, b"behind the end"
    cell.write(chunk, 200, cell.push(inside))
    cell.write(chunk, 700, cell.push(behind))
    whole = record[:200] + inside + record[500:] + bytes(100) + behind
    same_everywhere(cell, chunk, whole, "after a write in the middle of a record, and one behind the end")
    data_id = cell.push(b"data")
    refused(
        "stale_version",
        lambda: cell.write(Chunk(chunk.handle, chunk.servers, chunk.version + 1), 0, data_id),
        "a write by a client that believes in another version",
    )
    refused(
        "not_primary",
        lambda: cell.write(Chunk(chunk.handle, ("cs2",), chunk.version), 0, data_id),
        "a write at a secondary",
    )
    refused(
        "unknown_data", lambda: cell.write(chunk, 0, "nobody-pushed-this"), "a write of data nobody pushed"
    )
    size = cell.limits.chunk_size
    refused(
        "bad_arguments",
        lambda: cell.write(chunk, size - 3, data_id),
        f"a write of 4 bytes at {size - 3} of a chunk of {size}",
        why="no replica may be longer than a chunk: nobody would ever read what lies behind",
    )
    same_everywhere(cell, chunk, whole, "after four writes that were refused")
    lost = cell.cluster.network.drop(Aim("apply", "request", receiver="cs3", times=None))
    failing = cell.begin_write(chunk, 100, data_id)
    refused("replica_failed", lambda: cell.finish(failing), "a write that one replica never heard of")
    cell.cluster.network.remove(lost)
    cell.finish(cell.begin_write(chunk, 100, data_id))
    whole = whole[:100] + b"data" + whole[104:]
    same_everywhere(cell, chunk, whole, "after the same write once more, when every replica can be reached")
    offset = cell.append(chunk, b"the next record")
    expect(
        offset >= len(whole),
        "a record was put over bytes that a write had put there",
        expected=f"an offset of at least {len(whole)}",
        seen=str(offset),
    )
    try:
        cell.write(chunk, size - 4, data_id)
    except RemoteError as error:
        raise LabFailure("a write that ends where the chunk ends is refused", seen=str(error)) from error
    cell.holds("cs3", chunk, size - 4, b"data", "after a write that ends where the chunk ends")


def same_everywhere(cell: Cell, chunk: Chunk, whole: bytes, when: str) -> None:
    for name in chunk.servers:
        found = cell.read(name, chunk, 0, cell.limits.chunk_size)
        expect(
            found == whole,
            f"{name} does not hold what the writes say {when}",
            expected=f"{len(whole)} bytes: {runs(whole)}",
            seen=f"{difference(found, whole)}; {runs(found)}",
        )


def runs(data: bytes) -> str:
    """Data of few different bytes, such as `200 x r, 300 x W`."""
    parts: list[tuple[int, int]] = []
    for byte in data:
        if parts and parts[-1][0] == byte:
            parts[-1] = (byte, parts[-1][1] + 1)
        else:
            parts.append((byte, 1))
    shown = [f"{count} x {bytes([byte])!r}" for byte, count in parts]
    return repr(data[:60]) + "…" if len(shown) > 12 else ", ".join(shown)


@claim(
    "Writes side by side end with the same bytes on all replicas, and a write that is made again ends as it was meant",
    hint="number a write under the lock under which you apply it; secondaries wait for their turn with writes too",
    read="labs/03_chunkserver/README.md#part-c-one-order-for-all",
)
def test_writes_side_by_side(make_cluster: MakeCluster) -> None:
    cell = Cell(make_cluster, 3)
    chunk = cell.chunk()
    network = cell.cluster.network
    writers = {bytes([65 + number]): (60 * number, 400) for number in range(6)}
    ids = {letter: cell.push(letter * length) for letter, (_, length) in writers.items()}
    cell.write(chunk, 0, cell.push(b"." * 800))
    cell.cluster.set_rate(0.0)  # nothing times out
    held = network.hold(
        Aim("apply", "request", receiver="cs3")
    )  # what comes first to the others, comes last to cs3
    calls = []
    for letter, (offset, _) in writers.items():
        calls.append(cell.begin_write(chunk, offset, ids[letter]))
        if len(calls) == 1:
            cell.until(held.first.is_set, "that the primary asks cs3 to apply a write", calls[0])
    calls[-1].wait(WAITS)
    network.release(held)
    for call in calls:
        call.result()
    contents = {name: cell.read(name, chunk, 0, 4096) for name in chunk.servers}
    expect(
        len(set(contents.values())) == 1,
        "writes side by side to one region left replicas that differ",
        expected="the same bytes everywhere, whoever's they are: consistent, though undefined (GFS §2.7)",
        seen="; ".join(f"{name}: {runs(data)}" for name, data in contents.items()),
        why="a reader would see one thing here and another there, for ever",
    )
    (found,) = set(contents.values())
    for at, byte in enumerate(found):
        letter = bytes([byte])
        offset, length = writers.get(letter, (0, 800))
        expect(
            letter in {*writers, b"."} and offset <= at < offset + length,
            f"byte {at} is none that anybody wrote there",
            seen=repr(letter),
        )
    offset, length = writers[b"C"]
    cell.write(chunk, offset, ids[b"C"])
    whole = found[:offset] + b"C" * length + found[offset + length :]
    same_everywhere(cell, chunk, whole, "after one of the writes was made once more, alone")

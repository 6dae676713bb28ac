"""Lab 4 part B: records, told from everything else a file may hold."""

from __future__ import annotations

from harness import records
from harness.cluster import Cluster
from harness.gfs import Gfs
from harness.grading import claim, expect
from harness.history import InvokeAppend
from harness.network.faults import Aim, Drop, Partition
from harness.workload import Operation
from labkit.checksum import crc32c
from labkit.protocol import RECORD, RECORD_MAGIC

LOG = "/log"

Row = tuple[int, int, int, int]  # offset, writer, sequence, checksum of the body


def started(cluster: Cluster, patience: float | None = None) -> Gfs:
    gfs = Gfs(cluster, patience=patience)
    gfs.begin(LOG)
    return gfs


def append(cluster: Cluster, writer: int, sequence: int, content: bytes) -> Row:
    offset = cluster.call("c1", "append", path=LOG, body=content, writer=writer, sequence=sequence)
    return offset, writer, sequence, crc32c(content)


def rows(cluster: Cluster, command: str, path: str = LOG) -> list[Row]:
    """What c2 finds in a file by `scan`, `records` or `follow`."""
    found: list[tuple[int, int, int, int]] = cluster.call("c2", command, path=path)
    return [(offset, writer, sequence, checksum) for offset, writer, sequence, checksum in found]


def named(found: list[Row]) -> str:
    return ", ".join(f"{writer}-{sequence} at {offset}" for offset, writer, sequence, _ in found) or "none"


@claim(
    "A record is laid out as docs/protocol.md says, so that anybody can read it",
    hint="RECORD.pack gives the 28 bytes; the checksum covers client, sequence and body",
    read="labs/04_consistency/README.md#part-b-records",
)
def test_layout_of_a_record(cluster: Cluster) -> None:
    gfs = started(cluster)
    for writer, sequence, content in ((7, 1, b"hello"), (2**64 - 1, 2**63, b""), (1, 2, bytes(range(256)))):
        offset, *_ = append(cluster, writer, sequence, content)
        wanted = records.frame(writer, sequence, content)
        stored = gfs.truth.contents(LOG)[offset : offset + len(wanted)]
        expect(
            stored == wanted,
            f"record {writer}-{sequence} with a body of {len(content)} bytes is stored in another layout",
            expected=wanted[:40].hex(" "),
            seen=stored[:40].hex(" "),
            why="files outlive programs: every reader has to find the same records",
        )


@claim(
    "A reader finds every record among padding, fragments, broken records and bodies that look like records",
    hint="where length and checksum fit it is a record; where not, look on one byte further",
    read="labs/04_consistency/README.md#part-b-records",
)
def test_records_among_garbage(cluster: Cluster) -> None:
    gfs = started(cluster, patience=30.0)
    whole = records.frame(3, 1, records.body(3, 1, 100))
    broken = bytearray(whole)
    broken[60] ^= 0x10
    greedy = RECORD.pack(RECORD_MAGIC, 2**32 - 1, 0, 3, 2)
    covering = RECORD.pack(RECORD_MAGIC, 300, 0, 3, 3)  # claims to cover the records that follow
    wanted = rows(cluster, "scan")
    expect(len(wanted) == 1, "a file with one record holds another number of them", seen=named(wanted))
    lone = b"\x00" * 12 + RECORD_MAGIC[:3]
    for number, junk in enumerate(
        (whole[:70], bytes(broken), bytes(37), greedy, RECORD_MAGIC, covering, lone)
    ):
        gfs.truth.append_raw(LOG, junk)
        wanted.append(append(cluster, 4, number, b"record number %d" % number))
    wanted.append(append(cluster, 2, 1, b"holds another: " + whole + RECORD_MAGIC))
    for sequence in range(2, 8):  # into the next chunk, so that there is padding
        wanted.append(append(cluster, 2, sequence, records.body(2, sequence, 900)))
    wanted.append(append(cluster, 2, 8, b""))  # the file ends where its header does
    found = rows(cluster, "scan")
    odd = [row for row in found if row not in wanted]
    bodies = {row[1:] for row in wanted}
    elsewhere = [row for row in odd if row[1:] in bodies]
    expect(
        not elsewhere,
        "scan finds a record at another place than append said",
        expected=named(wanted),
        seen=named(elsewhere),
        why="a place is counted from the start of the file: where the chunk begins, and then where in the chunk",
    )
    expect(
        not odd,
        "scan finds a record that nobody appended",
        expected=named(wanted),
        seen=named(odd),
        why="a fragment has a beginning like any record, and the body of a record may look like another",
    )
    missing = [row for row in wanted if row not in found]
    expect(
        not missing,
        "scan does not find a record that is there",
        expected=named(missing),
        seen=named(found),
        why="what a broken record claims to cover may hold whole ones: only a checksum that fits proves a length",
    )
    expect(found == wanted, "the records come in another order than they have in the file", seen=named(found))
    behind_a_hole(gfs)
    gfs.note("c2 reaches no chunkserver")
    cluster.network.add(Partition(["c2"], gfs.chunkservers))
    scan = gfs.workload.scan("c2", LOG)
    gfs.finish(scan)
    expect(
        not scan.acknowledged,
        "a scan has a result although no chunk could be read",
        expected="ReadFailed: what was read is never returned as if it were all",
        seen=f"{len(scan.value or [])} records",
    )


def behind_a_hole(gfs: Gfs) -> None:
    """Replicas of the first chunk are empty, and yet the others begin where they do."""
    cluster, size = gfs.cluster, gfs.limits.chunk_size
    cluster.call("c1", "create", path="/page")
    gfs.finish(gfs.workload.write("c1", "/page", size + 1008, 64))
    placed = cluster.call("c1", "append", path="/page", body=b"behind a hole", writer=9, sequence=1)
    found = rows(cluster, "scan", "/page")
    expect(
        any(row[0] == placed for row in found) and all(row[1:3] == (9, 1) for row in found),
        "scan finds a record behind a hole at another place than append did",
        expected=f"record 9-1 at {placed}; a chunk begins at a multiple of {size}, however short the one before is",
        seen=named(found),
    )


@claim(
    "An application gets each record once, though the file holds copies",
    hint="a record carries its identity: keep the first of each",
    read="labs/04_consistency/README.md#part-b-records",
)
def test_each_record_once(cluster: Cluster) -> None:
    gfs = started(cluster)
    before = gfs.attempts("c1")
    cluster.network.add(Drop(Aim("append", "reply", receiver="c1", times=None)))
    gfs.note("c1 gets no answers to append")
    copied = gfs.workload.append("c1", LOG, 700)
    gfs.pass_until(
        lambda: gfs.attempts("c1") >= before + 3 or copied.done.is_set(), "a third attempt of the append"
    )
    cluster.network.heal()
    gfs.finish(copied)
    for _ in range(3):
        gfs.finish(*(gfs.workload.append(client, LOG, 700) for client in gfs.clients))
    # Not copies of each other: two messages may well say the same.
    alike = [append(cluster, 9, sequence, b"a body like another") for sequence in (1, 2)]
    stored = rows(cluster, "scan")
    first: dict[tuple[int, int], Row] = {}
    for row in stored:
        first.setdefault((row[1], row[2]), row)
    expect(
        len(stored) > len(first),
        "scan leaves out copies, or the client never tried again",
        expected="the record whose answers were lost, more than once",
        seen=named(stored),
    )
    got, wanted = rows(cluster, "records"), list(first.values())
    expect(
        got == wanted,
        "records() does not return every record once, at its first copy, in file order",
        expected=named(wanted),
        seen=named(got),
    )
    acknowledged = sum(operation.acknowledged for operation in gfs.workload.operations) + len(alike)
    expect(
        len(got) == acknowledged, "a record is missing", expected=f"{acknowledged} records", seen=named(got)
    )


@claim(
    "A reader that follows a growing file returns every record once, whatever is appended twice or moved to the next chunk",
    hint="the last chunk may change anywhere behind what was acknowledged: read it again, and tell by identity what is new",
    read="labs/04_consistency/README.md#part-b-records",
)
def test_following_a_growing_file(cluster: Cluster) -> None:
    gfs = started(cluster)
    followed = rows(cluster, "follow")
    for last in (False, False, True):
        before = gfs.attempts("c1")
        cluster.network.add(Drop(Aim("append", "reply", receiver="c1", times=None)))
        gfs.note("c1 gets no answers to append")
        copied = gfs.workload.append("c1", LOG, 700)
        gfs.pass_until(
            lambda before=before, copied=copied: gfs.attempts("c1") >= before + 2 or copied.done.is_set(),
            "a second attempt of the append",
        )
        followed += rows(cluster, "follow")
        if last:  # the next copy of that record is in another chunk than those that were there to be returned
            fill_the_chunk(gfs)
            followed += rows(cluster, "follow")
        cluster.network.heal()
        gfs.finish(copied)
        followed += rows(cluster, "follow")
        missed = [one for one in gfs.workload.operations if one.acknowledged and not returned(one, followed)]
        expect(
            not missed,
            "a follower has not returned a record that was acknowledged before it asked for more",
            expected="; ".join(
                str(one.invoke.record) for one in missed if isinstance(one.invoke, InvokeAppend)
            ),
            seen=named(followed),
        )
    names = [(writer, sequence) for _, writer, sequence, _ in followed]
    expect(
        len(set(names)) == len(names),
        "a follower returns a record twice",
        expected="each record once, though the file holds copies",
        seen=named(followed),
    )
    alike = [append(cluster, 9, sequence, b"a body like another") for sequence in (1, 2)]
    new = rows(cluster, "follow")
    expect(
        [row[1:] for row in new] == [row[1:] for row in alike],
        "a follower does not return what is new, and only that",
        expected=f"{named(alike)}, whose bodies are alike",
        seen=named(new),
    )


def fill_the_chunk(gfs: Gfs) -> None:
    """c2 appends until it has begun another chunk."""
    begun = len(gfs.truth.chunks(LOG)) * gfs.limits.chunk_size
    for _ in range(8):
        other = gfs.workload.append("c2", LOG, 700)
        gfs.finish(other)
        if other.acknowledged and other.value >= begun:
            return


def returned(append: Operation, followed: list[Row]) -> bool:
    """Whether the record of an append is among the rows."""
    assert isinstance(append.invoke, InvokeAppend)
    return any(append.invoke.record == records.record_id(row[1], row[2]) for row in followed)

"""Lab 4 part A: the client library."""

from __future__ import annotations

from typing import Any

from harness import records
from harness.cluster import Cluster
from harness.gfs import Gfs
from harness.grading import claim, expect
from harness.network.faults import Aim, When
from harness.network.frame import Frame
from harness.truth import MASTER

LOG = "/log"
SMALL = 4096  # no question to the master and no answer needs as much
SLOW = 6.0  # virtual seconds until an answer comes: it is asked for once more meanwhile, and not given up


def with_records(gfs: Gfs, count: int, size: int) -> list[tuple[int, bytes]]:
    """Records of c1 in LOG: where each is, and its frame."""
    placed: list[tuple[int, bytes]] = []
    for sequence in range(1, count + 1):
        content = records.body(9, sequence, size)
        args: dict[str, Any] = {"path": LOG, "body": content, "writer": 9, "sequence": sequence}
        placed.append((gfs.cluster.call("c1", "append", **args), records.frame(9, sequence, content)))
    return placed


def questions(cluster: Cluster, client: str) -> list[str]:
    """What a client has asked the master about places and primaries, transmissions of one question counted once."""
    asked = {
        frame.xid: f"{frame.method} at {frame.time:.1f} s"
        for frame in cluster.network.frames(kind="request", sender=client, receiver=MASTER)
        if frame.method in ("lookup", "lease", "allocate")
    }
    return list(asked.values())


@claim(
    "A client asks the master where a chunk is once, and again when the answer has grown old",
    hint="cache what lookup and lease answer, with the time you asked, and look there first",
    read="labs/04_consistency/README.md#part-a-the-client-library",
)
def test_locations_are_cached(cluster: Cluster) -> None:
    gfs = Gfs(cluster)
    gfs.begin(LOG)
    with_records(gfs, 2, 300)
    args: dict[str, Any] = {"path": LOG, "offset": 0, "length": 100}
    first = cluster.call("c1", "read", **args)
    asked = questions(cluster, "c1")
    for sequence in range(3, 8):
        again = cluster.call("c1", "read", **args)
        expect(again == first, "the same bytes read twice are not the same", seen=repr(again)[:80])
        content = records.body(9, sequence, 50)
        cluster.call("c1", "append", path=LOG, body=content, writer=9, sequence=sequence)
    more = questions(cluster, "c1")[len(asked) :]
    expect(
        not more,
        "the client asks the master again what it knows already",
        expected=f"no lookup and no lease for five reads and appends within {gfs.limits.location_cache:g} s",
        seen=", ".join(more),
        why="one master serves all clients: what they need not ask, it need not answer",
    )
    gfs.pass_time(gfs.limits.location_cache + 1)
    cluster.call("c1", "read", **args)
    expect(
        len(questions(cluster, "c1")) > len(asked),
        "the client believes an answer of the master for ever",
        expected=f"a lookup once the last one is {gfs.limits.location_cache:g} s old",
        seen="a read without any",
        why="a replica that was left behind may be read as long as the client believes in it",
    )
    gfs.pass_time(gfs.limits.location_cache + 1)
    slow = cluster.network.hold(Aim("lookup", "reply", receiver="c1", times=None))
    reading = cluster.begin("c1", "read", **args)
    cluster.until(lambda: slow.first.is_set() or reading.done, "a lookup of c1")
    gfs.pass_time(SLOW)
    cluster.network.release(slow)
    gfs.pass_until(lambda: reading.done, "the end of a read whose lookup was answered late")
    cluster.result("c1", reading)
    asked = questions(cluster, "c1")
    latest = cluster.network.frames("lookup", "request", "c1")[-1]
    begun = min(one.time for one in cluster.network.frames("lookup") if one.xid == latest.xid)
    gfs.pass_time(begun + gfs.limits.location_cache + 1 - cluster.now())
    cluster.call("c1", "read", **args)
    expect(
        len(questions(cluster, "c1")) > len(asked),
        "an answer that came late is believed for too long",
        expected=f"a lookup {gfs.limits.location_cache:g} s after the last one was sent",
        seen=f"a read without any; that answer came {SLOW:g} s after its question",
        why="an answer says what was true at some moment after the question: it is as old as that",
    )


@claim(
    "File data never passes through the master",
    hint="ask the master who has the chunk, then push to them and read from them",
    read="labs/04_consistency/README.md#part-a-the-client-library",
)
def test_data_never_passes_the_master(cluster: Cluster) -> None:
    cluster.limits.update(chunk_size=1 << 22, block_size=1 << 16)
    gfs = Gfs(cluster)
    gfs.begin(LOG)
    placed = with_records(gfs, 3, 700_000)
    # More than one request may ask for.
    first, last = placed[0][0], placed[-1][0] + len(placed[-1][1])
    whole = cluster.call("c2", "read", path=LOG, offset=first, length=last - first)
    seen = len(whole)
    expect(
        seen == last - first
        and all(whole[at - first : at - first + len(frame)] == frame for at, frame in placed),
        "a long read within one chunk returns other bytes than were appended",
        expected=f"{last - first} bytes, the three records of 700,000 bytes among them",
        seen=f"{seen} bytes" + (", not the same" if seen == last - first else ""),
    )
    for offset, frame in placed[:1]:
        got = cluster.call("c2", "read", path=LOG, offset=offset, length=len(frame))
        expect(got == frame, f"other bytes than were appended at offset {offset}", seen=repr(got[:40]))
    heavy = [
        frame
        for frame in cluster.network.journal
        if MASTER in (frame.sender, frame.receiver) and frame.size > SMALL
    ]
    expect(
        not heavy,
        "file data passed through the master",
        expected=f"no message of more than {SMALL} bytes to or from the master",
        seen="; ".join(f"{frame}, {frame.size} bytes" for frame in heavy[:3]),
        why="the bandwidth of a cluster is that of its chunkservers, as long as the master is not in the way",
    )


@claim(
    "A read crosses from one chunk into the next, and ends where the file does",
    hint="split the range at chunk boundaries; only the last chunk ends where its replica does",
    read="labs/04_consistency/README.md#part-a-the-client-library",
)
def test_read_across_chunks(cluster: Cluster) -> None:
    gfs = Gfs(cluster)
    gfs.begin(LOG)
    with_records(gfs, 12, 700)
    wanted, size = gfs.truth.contents(LOG), gfs.limits.chunk_size
    expect(
        len(wanted) > 2 * size, "twelve records of 728 bytes need three chunks", seen=f"{len(wanted)} bytes"
    )
    ranges = [(0, len(wanted)), (size - 100, 200), (size, 1), (size - 1, size + 2), (len(wanted) - 50, 1000)]
    for offset, length in [*ranges, (len(wanted) + 7 * size, 10)]:
        got = cluster.call("c2", "read", path=LOG, offset=offset, length=length)
        right = wanted[offset : offset + length]
        same = next((at for at, pair in enumerate(zip(got, right, strict=False)) if pair[0] != pair[1]), None)
        expect(
            got == right,
            f"a read of {length} bytes at {offset} returns something else than the file holds there",
            expected=f"{len(right)} bytes; chunks are {size} bytes, the file {len(wanted)}",
            seen=f"{len(got)} bytes" + (f", wrong from byte {same} on" if same is not None else ""),
        )


@claim(
    "A write crosses from one chunk into the next; before it there may be a hole, behind it the file ends",
    hint="split the range at chunk boundaries, and have the master allocate the chunks in between, one after the other",
    read="labs/04_consistency/README.md#part-a-the-client-library",
)
def test_write_across_chunks(cluster: Cluster) -> None:
    gfs = Gfs(cluster)
    gfs.begin(LOG)
    cluster.call("c1", "create", path="/page")
    size = gfs.limits.chunk_size
    offset, content = size + 1008, records.page(1, 1, size + 160)
    for client, at, data in (("c1", offset, content), ("c2", offset + 16, records.page(2, 1, 32))):
        writing = cluster.begin(client, "write", path="/page", offset=at, data=data)
        gfs.pass_until(
            lambda writing=writing: writing.done, f"the end of a write of {len(data)} bytes at {at}"
        )
        cluster.result(client, writing)
    wanted = bytes(offset) + content[:16] + records.page(2, 1, 32) + content[48:]
    stored = gfs.truth.contents("/page")
    expect(
        stored == wanted,
        "the file does not hold what two writes left in it",
        expected=f"{len(wanted)} bytes: zeros up to {offset}, then the writes",
        seen=f"{len(stored)} bytes" + (", not the same" if len(stored) == len(wanted) else ""),
    )
    for at, length in ((0, len(wanted) + 100), (offset - 50, 100), (2 * size - 8, 16), (len(wanted), 10)):
        got = cluster.call("c2", "read", path="/page", offset=at, length=length)
        expect(
            got == wanted[at : at + length],
            f"a read of {length} bytes at {at} tells holes, data and the end of the file wrongly apart",
            expected=f"{len(wanted[at : at + length])} bytes; a hole reads as zeros, behind the end there is nothing",
            seen=f"{len(got)} bytes",
        )


@claim(
    "A dead replica is not the end of a read",
    hint="whatever a replica answers but bytes makes it useless for this read: try the next",
    read="labs/04_consistency/README.md#part-a-the-client-library",
)
def test_a_dead_replica_is_passed_over(cluster: Cluster) -> None:
    gfs = Gfs(cluster)
    gfs.begin(LOG)
    ((offset, frame),) = with_records(gfs, 1, 300)
    asked: list[str] = []

    def is_new(request: Frame) -> bool:
        if request.receiver in asked:
            return False
        asked.append(request.receiver)
        return True

    fault = When(
        Aim("read", "request", sender="c2", times=2, only=is_new),
        lambda: gfs.crash(asked[-1], "when c2 asks it to read"),
        deliver=False,
    )
    cluster.network.add(fault)
    reading = cluster.begin("c2", "read", path=LOG, offset=offset, length=len(frame))
    gfs.pass_until(lambda: reading.done, "the end of a read of which two replicas died")
    got = cluster.result("c2", reading)
    expect(fault.aim.hits == 2, "two replicas were to die when asked", seen=f"{fault.aim.hits} died")
    expect(got == frame, "the third replica gave other bytes than were appended", seen=repr(got[:40]))


@claim(
    "After a snapshot both files go on: what is appended or written to one is in that one alone",
    hint="shared_chunk: have the master allocate the same index, and go on with the copy that it names",
    read="labs/04_consistency/README.md#part-a-the-client-library",
)
def test_both_files_of_a_snapshot(cluster: Cluster) -> None:
    gfs = Gfs(cluster)
    gfs.begin(LOG)
    cluster.call("c1", "create", path="/page")
    gfs.finish(gfs.workload.write("c2", "/page", 0, 64))
    # c2 knows places and primaries of before.
    gfs.finish(gfs.workload.append("c2", LOG))
    before = {path: gfs.truth.contents(path) for path in (LOG, "/page")}
    gfs.truth.snapshot(LOG, "/kept.log")
    gfs.truth.snapshot("/page", "/kept.page")
    for client, path, other in (("c2", LOG, "/kept.log"), ("c1", "/kept.log", LOG)):
        left = gfs.truth.contents(other)
        appended = gfs.workload.append(client, path)
        gfs.finish(appended)
        expect(
            appended.acknowledged,
            f"nothing can be appended to {path} since a snapshot was taken",
            expected="the master refuses a lease with shared_chunk; then allocate names a copy that takes mutations",
            seen=appended.refused or None,
        )
        now, at = gfs.truth.contents(path), appended.value
        expect(
            now.startswith(before[LOG]) and now[at : at + len(appended.frame)] == appended.frame,
            f"{path} does not hold what it held at the snapshot, and the new record",
            expected=f"the {len(before[LOG])} bytes of before, and a record at {at}",
            seen=f"{len(now)} bytes",
        )
        expect(
            gfs.truth.contents(other) == left,
            f"{other} has changed, although the record was appended to {path}",
        )
    written = gfs.workload.write("c2", "/page", 16, 32)
    gfs.finish(written)
    expect(
        written.acknowledged,
        "nothing can be written to /page since a snapshot was taken",
        expected="as for an append: allocate names a copy that takes mutations",
        seen=written.refused or None,
    )
    now, kept = gfs.truth.contents("/page"), before["/page"]
    expect(
        now[:16] + now[48:] == kept[:16] + kept[48:] and now[16:48] != kept[16:48],
        "/page does not hold what was written before and after the snapshot",
        seen=repr(now),
    )
    expect(
        gfs.truth.contents("/kept.page") == kept,
        "the snapshot of /page has changed with /page",
        expected=repr(kept),
    )

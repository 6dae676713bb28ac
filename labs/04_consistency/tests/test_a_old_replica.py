"""Lab 4 part A: a replica whose disk is older than what the master told."""

from __future__ import annotations

from harness.cluster import Cluster
from harness.gfs import Gfs
from harness.grading import claim, expect
from harness.network.faults import Partition
from harness.truth import MASTER

LOG = "/log"


@claim(
    "A replica of an older version than the master told is passed over",
    hint="every answer to a read says the replica's version: compare it with the one you located the chunk with",
    read="labs/04_consistency/README.md#part-a-the-client-library",
)
def test_an_old_replica_is_passed_over(cluster: Cluster) -> None:
    gfs = Gfs(cluster)
    primary, (old, _) = gfs.begin(LOG)
    image = cluster.disk_image(old)
    gfs.crash(primary)
    cluster.start(primary)
    gfs.pass_time(gfs.limits.lease + 1)  # it was in memory only, and has run out at the master
    appended = gfs.workload.append("c1", LOG)
    gfs.finish(appended)
    expect(
        appended.acknowledged, "an append under the second lease was not acknowledged", seen=appended.refused
    )
    # From now on it knows the places and the version.
    cluster.call("c2", "read", path=LOG, offset=0, length=1)
    (chunk,) = gfs.truth.chunks(LOG)
    wanted = gfs.truth.contents(LOG)[appended.value :]
    cluster.set_rate(0.0)  # whatever the machine does meanwhile, nobody's patience ends
    gfs.note(f"{old} is back with the disk it had before the last append, and does not reach the master")
    cluster.network.add(Partition([old], [MASTER]))
    cluster.replace(old, image)
    stored = gfs.truth.replica(chunk, old)
    version = stored.version if stored else chunk.version
    expect(
        version < chunk.version,
        "a server with a disk from before the second lease does not say so",
        expected=f"a version lower than {chunk.version} in its answer to read",
        seen=f"version {version}" if stored else "no answer",
    )
    others = [name for name in gfs.chunkservers if name != old]
    for name in others:
        gfs.crash(name)

    def answers() -> int:
        return len(cluster.network.frames("read", "reply", sender=old, receiver="c2"))

    before = answers()  # it may have been the one that c2 has read from
    reading = cluster.begin("c2", "read", path=LOG, offset=appended.value, length=len(wanted))
    gfs.pass_until(
        lambda: reading.done or answers() > before,
        f"a read of c2 at {old}, the only server that is up",
    )
    gfs.note("the others are up again")
    cluster.start(*others)
    gfs.pass_until(lambda: reading.done, "the end of a read when all servers are up again")
    got = cluster.result("c2", reading)
    expect(
        got == wanted,
        "a read of an acknowledged record was answered from a replica that has missed it",
        expected=f"{len(wanted)} bytes, from a replica of version {chunk.version}",
        seen=f"{len(got)} bytes, though {old} is at version {version}",
        why="a disk may be older than its server says; the version is what tells of every mutation it missed",
    )

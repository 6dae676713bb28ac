"""Lab 2 part C: leases and versions."""

from __future__ import annotations

import contextlib

from harness.cluster import Cluster
from harness.disk_faults import moment
from harness.failures import LabFailure, expect
from harness.grading import claim
from harness.network.faults import Aim
from harness.stubs.master_cell import STEP, MasterCell
from labkit import Limits
from labkit.errors import RemoteError

LIMITS = Limits()


@claim(
    "A lease raises the version everywhere before anyone is told, and never twice to one number",
    hint="log that the version is about to be raised, tell the replicas, log what they said, then grant",
    read="labs/02_gfs_master/README.md#part-c-leases-and-versions",
)
def test_a_grant_raises_the_version(cluster: Cluster) -> None:
    cell = MasterCell(cluster)
    cell.ask("create", path="/f")
    handle = cell.ask("allocate", path="/f", index=0)["handle"]
    before = len(cluster.operations("master"))
    lease = cell.ask("lease", handle=handle)
    points = len(cluster.operations("master")) - before
    expect(points > 0, "a lease was granted without a word in the log")
    versions = {server.name: server.chunks[handle] for server in cell.servers}
    expect(
        set(versions.values()) == {lease["version"]} and lease["version"] > 1,
        "not every replica has the version of the lease",
        seen=f"lease {lease}, replicas {versions}",
    )
    holder = next(server for server in cell.servers if server.name == lease["primary"])
    expect(handle in holder.leases, "the primary was never told of its lease", seen=repr(lease))
    _, until, secondaries = holder.leases[handle]
    expect(
        until <= cluster.now() + LIMITS.lease
        and sorted([holder.name, *secondaries]) == ["cs1", "cs2", "cs3"],
        "the grant promises too much",
        expected=f"until at most {LIMITS.lease:g} s after the primary's last heartbeat; all others as secondaries",
        seen=f"until in {until - cluster.now():.1f} s, secondaries {secondaries}",
    )
    granted = {lease["version"]}
    for operation in range(1, points + 1):
        for when in ("before", "half", "after"):
            cell.pass_time(LIMITS.lease + STEP, cell.servers, keep=False)
            cluster.crash_at("master", operation, when)
            try:
                cell.ask("lease", handle=handle)
            except LabFailure:
                cluster.wait_dead("master")
            granted |= {r.args["version"] for server in cell.servers for r in server.got("grant_lease")}
            cell.restart()
            again = cell.patiently("lease", cell.servers, handle=handle)
            expect(
                again["version"] > max(granted),
                "a version was granted twice",
                expected=f"more than {max(granted)} after a crash {moment(when, operation)}",
                seen=repr(again),
                why="replicas that missed a mutation could not be told from those that have it",
            )
            granted.add(again["version"])
    _nobody_is_left_behind(cell)


def _nobody_is_left_behind(cell: MasterCell) -> None:
    """After a restart somebody wants a lease before all replicas have been reported."""
    handle = cell.chunk("/g")
    cell.cluster.set_rate(0.0)  # the others are late, and no later than that
    cell.cluster.restart("master")
    first, *others = cell.servers
    cell.report([first])
    early = cell.begin("lease", handle=handle)
    cell.cluster.await_quiet(lambda: early.done)
    cell.report(others)
    with contextlib.suppress(RemoteError):
        early.result()
    lease = cell.patiently("lease", cell.servers, handle=handle)
    versions = {server.name: server.chunks.get(handle, "dropped") for server in cell.servers}
    expect(
        set(versions.values()) == {lease["version"]},
        "good replicas were made stale, as their servers had not yet registered after a restart of the master",
        expected=f"all at version {lease['version']}: the master knows who confirmed the last one, and gives them time to report",
        seen=str(versions),
        why="they are dropped, and had all that the first one has",
    )


@claim(
    "There are never two primaries: a silent primary keeps its chunk until its lease is surely over",
    hint="count the lease from when the heartbeat it rests on was heard, and wait it out after a restart too",
    read="labs/02_gfs_master/README.md#part-c-leases-and-versions",
)
def test_one_primary_at_a_time(cluster: Cluster) -> None:
    cell = MasterCell(cluster)
    cell.ask("create", path="/f")
    handle = cell.ask("allocate", path="/f", index=0)["handle"]
    for restart in (False, True):
        lease = cell.patiently("lease", cell.servers, handle=handle)
        silent = next(server for server in cell.servers if server.name == lease["primary"])
        others = [server for server in cell.servers if server is not silent]
        _, until, _ = silent.leases[handle]
        hold = cluster.network.hold(Aim(None, "request", receiver=silent.name, times=None))
        if restart:
            cluster.restart("master")
            cell.report(others)
        seen = " after a restart of the master" if restart else ""
        known = not restart
        while cluster.now() < until:
            if not known and until - cluster.now() < LIMITS.lease / 2:
                silent.heartbeat()
                known = True
                seen += f", which {silent.name} registered with since it was told to: it has never stopped"
            cell.nobody_else(
                cell.answered("lease", others, keep=False, handle=handle).result,
                silent,
                lambda until=until: until - cluster.now(),
                seen=seen,
                why="the old primary may be alive behind a broken network and go on mutating",
            )
            cell.pass_time(STEP, others, keep=False)
        new = cell.next_lease(others, handle, lease["version"])
        cluster.network.discard(hold)
        silent.chunks[handle] = new["version"]
        for server in cell.servers:
            server.leases.clear()
        cell.pass_time(LIMITS.lease + STEP, others, keep=False)
        cell.report([silent])


@claim(
    "A stale replica is never handed out, even when it is all there is",
    hint="no data beats old data: only replicas at the chunk's version count",
    read="labs/02_gfs_master/README.md#part-c-leases-and-versions",
)
def test_stale_replicas(cluster: Cluster) -> None:
    cell = MasterCell(cluster)
    cell.ask("create", path="/f")
    handle = cell.ask("allocate", path="/f", index=0)["handle"]
    missed, *others = cell.servers
    old = missed.chunks[handle]
    cell.pass_time(LIMITS.dead_after + 2 * LIMITS.heartbeat, others)
    cluster.until(
        lambda: missed.name not in cell.ask("lookup", path="/f", index=0)["replicas"],
        f"that the master gives up {missed.name}, silent for half a minute,",
    )
    cell.patiently("lease", others, handle=handle)
    expect(missed.chunks[handle] == old, "a server that counts as dead was told of the new version")
    answer = missed.register()
    expect(
        handle in answer.get("delete", []),
        "a server with a stale replica is not told to drop it",
        seen=repr(answer),
    )
    missed.chunks[handle] = old
    for server in others:
        server.stop()
    for _ in range(10):
        cluster.advance(STEP)
        missed.chunks[handle] = old
        missed.heartbeat()
    found = cell.ask("lookup", path="/f", index=0)
    expect(missed.name not in found["replicas"], "a stale replica was handed out", seen=repr(found))


@claim(
    "A lease that its primary claims in heartbeats goes on, one that it does not ends",
    hint="renew from the heartbeat's `sent`; what is not claimed runs out by itself",
    read="labs/02_gfs_master/README.md#part-c-leases-and-versions",
)
def test_leases_are_renewed(cluster: Cluster) -> None:
    cell = MasterCell(cluster)
    handle = cell.chunk("/f")
    lease = cell.ask("lease", handle=handle)
    primary = cell.server(lease["primary"])
    before = primary.now()
    renewed = dict(map(tuple, primary.heartbeat().get("leases", [])))
    expect(
        before + LIMITS.lease <= renewed.get(handle, 0.0) <= primary.now() + LIMITS.lease,
        "a heartbeat that claims a lease does not renew it",
        expected=f"until `sent` + {LIMITS.lease:g}",
        seen=f"until {renewed.get(handle)}, sent between {before:.3f} and {primary.now():.3f}",
    )
    other = next(server for server in cell.servers if server is not primary)
    other.leases[handle] = (lease["version"], 0.0, ())
    expect(other.heartbeat().get("leases") == [], "a lease was renewed for a server that does not hold it")
    other.leases.clear()
    cell.pass_time(2 * LIMITS.lease, cell.servers)
    again = cell.ask("lease", handle=handle)
    expect(
        again == lease,
        "a lease that was renewed all the time is not the same",
        expected=str(lease),
        seen=str(again),
    )
    for version in (lease["version"] - 1, lease["version"] + 1):
        primary.leases[handle] = (version, 0.0, ())
        expect(
            primary.heartbeat()["leases"] == [],
            "a lease was renewed that was never granted",
            expected=f"no lease of version {version} renewed, as the one of {primary.name} is of version {lease['version']}",
        )
    cell.pass_time(LIMITS.lease + STEP, cell.servers, keep=False)
    new = cell.patiently("lease", cell.servers, handle=handle)
    expect(
        new["version"] > lease["version"],
        "a lease that nobody claimed for its whole time is still handed out",
        seen=f"{lease}, then {new}",
    )
    started = cell.server(new["primary"])
    cluster.advance(1.0)  # so that a late copy of its last heartbeat is old news
    started.register()
    last = cell.patiently("lease", cell.servers, handle=handle)
    expect(
        handle in cell.server(last["primary"]).leases,
        "a server is named as primary that has started anew, and has no lease any more",
        expected=f"the lease of {started.name} in doubt as it registers: taken back, and then a new one granted",
        seen=f"{last}, which {last['primary']} was not told since",
        why="it refuses every mutation",
    )

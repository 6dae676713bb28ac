"""Lab 3 part E: what a chunkserver tells its master, when, and what it does on command."""

from __future__ import annotations

from collections.abc import Callable

from harness.cluster import Cluster
from harness.failures import LabFailure
from harness.grading import claim, expect
from harness.stubs.cell import Cell, Chunk, refused

MakeCluster = Callable[..., Cluster]

AHEAD = 5000.0  # seconds by which a clock is ahead of all others
ROUNDING = 1e-6  # seconds; while time stands still, one moment is told as two numbers that differ in their last digits


@claim(
    "A chunkserver reports what its disk holds, after a restart too, and deletes what it is told to, for good",
    hint="register first, then a heartbeat every limits.heartbeat with all intact replicas and their versions",
    read="labs/03_chunkserver/README.md#part-e-life-with-the-master",
)
def test_life_with_the_master(make_cluster: MakeCluster) -> None:
    cell = Cell(make_cluster, 1)
    chunk, other = cell.bare_chunk(), cell.bare_chunk()
    cell.mutate("cs1", chunk, 1, 0, b"data")
    cell.advance(chunk)
    wanted = {chunk.handle: chunk.version, other.handle: other.version}
    cell.heartbeats()
    cell.heartbeats()
    reports_chunks(cell, "heartbeat", wanted, "with two chunks")
    registered = len(cell.master.reports("cs1", "register"))
    expect(
        registered >= 1, "a chunkserver sends heartbeats without having registered", expected="register first"
    )
    cell.cluster.restart("cs1")
    cell.cluster.until(
        lambda: len(cell.master.reports("cs1", "register")) > registered,
        "that cs1 registers after its restart",
    )
    reports_chunks(cell, "register", wanted, "after a restart")
    cell.master.delete["cs1"] = [chunk.handle]
    cell.heartbeats()
    cell.cluster.until(
        lambda: chunk.handle not in cell.stored("cs1"),
        f"that chunk {chunk.handle} is deleted, as the master said,",
    )
    cell.heartbeats()
    cell.heartbeats()
    reports_chunks(cell, "heartbeat", {other.handle: other.version}, "after the deletion of the other chunk")
    cell.master.delete.clear()
    cell.cluster.restart("cs1")
    left = sorted(cell.stored("cs1"))
    expect(
        left == [other.handle],
        "a restart changes what is there after a deletion",
        expected=f"chunk {other.handle}, and no longer {chunk.handle}",
        seen=repr(left),
    )


def reports_chunks(cell: Cell, method: str, wanted: dict[int, int], when: str) -> None:
    last = cell.master.reports("cs1", method)[-1]
    expect(
        dict(last.chunks) == wanted,
        f"a {method} {when} does not say what the disk holds",
        expected=f"handles and versions {wanted}",
        seen=repr(dict(last.chunks)),
        why="the master believes its chunkservers, and keeps no list of its own (GFS §2.6.2)",
    )


@claim(
    "Heartbeats keep a lease alive, on the server's own clock, and no longer than the answers say",
    hint="name the leases you hold; read your clock before you send; believe `until` in the answer, nothing else",
    read="labs/03_chunkserver/README.md#part-e-life-with-the-master",
)
def test_heartbeats_keep_the_lease(make_cluster: MakeCluster) -> None:
    cell = Cell(make_cluster, 1)
    cell.cluster.skew("cs1", offset=AHEAD)
    before = cell.cluster.now()
    cell.heartbeats()
    cell.heartbeats()
    report = cell.master.reports("cs1")[-1]
    ahead = report.sent - AHEAD
    expect(
        before - ROUNDING <= ahead <= report.time + ROUNDING,
        "`sent` is not the server's own clock when it sent the report",
        expected=f"between {before + AHEAD:.1f} and {report.time + AHEAD:.1f} on a clock that is {AHEAD:g} s ahead",
        seen=f"{report.sent:.1f}",
        why="the master counts the lease from `sent`, on your clock: that is why no two clocks are compared",
    )
    chunk = cell.chunk(clock=AHEAD)
    cell.pass_time(cell.limits.lease + 15)
    cell.append(chunk, b"more than a lease after the grant")
    held = cell.master.reports("cs1", "heartbeat")[-1].leases
    expect(
        dict(held) == {chunk.handle: chunk.version},
        "the heartbeats do not say which leases are held",
        expected=f"leases: [[{chunk.handle}, {chunk.version}]]",
        seen=repr(dict(held)),
    )
    cell.master.stop_renewing()
    left = cell.master.promised["cs1", chunk.handle] - AHEAD - cell.cluster.now()
    cell.pass_time(max(0.0, left) + 1)
    data_id = cell.push(b"late")
    refused(
        "not_primary",
        lambda: cell.ask_append(chunk, data_id),
        "an append after the master has stopped renewing the lease, and its time has passed,",
    )


@claim(
    "A version the server has answered for is on its disk, whatever disk operation it dies at",
    hint="sync the new version before you answer advance_version",
    read="labs/03_chunkserver/README.md#part-e-life-with-the-master",
)
def test_versions_are_durable(make_cluster: MakeCluster) -> None:
    cell = Cell(make_cluster, 1)
    chunk = cell.bare_chunk()
    record = b"a record that stays"
    cell.mutate("cs1", chunk, 1, 0, record)
    before = len(cell.cluster.operations("cs1"))
    cell.advance(chunk)
    points = len(cell.cluster.operations("cs1")) - before
    expect(points > 0, "advance_version answered without writing anything to the disk")
    for operation in range(1, points + 1):
        for when in ("before", "half", "after"):
            old, new = chunk.version, chunk.version + 1
            crash = f"after a crash {when} disk operation {operation} of {points} of advance_version"
            cell.cluster.crash_at("cs1", operation, when)
            legal = {old, new}
            try:
                cell.master.advance(chunk.handle, ["cs1"], old, new)
                legal = {new}
            except LabFailure:
                cell.cluster.wait_dead("cs1")
            cell.cluster.restart("cs1")
            version, _ = cell.stored("cs1").get(chunk.handle, (None, 0))
            expect(
                version in legal,
                "the version after a crash is none that can follow from what was answered",
                expected=" or ".join(map(str, sorted(legal))),
                seen=f"{version}, {crash}",
                why="a replica that forgets a version looks current when it is stale, or stale when it is current",
            )
            cell.master.advance(chunk.handle, ["cs1"], old, new + 1)
            chunk.version = new + 1
            cell.cluster.restart("cs1")
            version, _ = cell.stored("cs1").get(chunk.handle, (None, 0))
            expect(
                version == new + 1,
                "a version that was answered for is gone after a crash",
                expected=str(new + 1),
                seen=f"{version}, {crash} of the version before",
            )
            cell.holds("cs1", chunk, 0, record, crash)


@claim(
    "A lease ends at once when the master revokes it or raises the version, and old grants do not bring it back",
    hint="end the lease under the chunk's lock, and remember up to which version leases have ended",
    read="labs/03_chunkserver/README.md#part-e-life-with-the-master",
)
def test_the_master_ends_a_lease(make_cluster: MakeCluster) -> None:
    cell = Cell(make_cluster, 2)
    data_id = cell.push(b"data")
    revoked, advanced = cell.chunk(), cell.chunk()
    for chunk in (revoked, advanced):
        cell.ask_append(chunk, data_id)
    cell.master.ask("cs1", "revoke_lease", {"handle": revoked.handle, "version": revoked.version})
    refused("not_primary", lambda: cell.ask_append(revoked, data_id), "an append after the lease was revoked")
    refused(
        "stale_version", lambda: cell.grant(revoked), "a grant, sent before it was revoked, that comes late"
    )
    refused(
        "not_primary", lambda: cell.ask_append(revoked, data_id), "an append under a lease that was revoked"
    )
    old = Chunk(advanced.handle, advanced.servers, advanced.version)
    cell.advance(advanced)
    refused(
        ("not_primary", "stale_version"),
        lambda: cell.ask_append(old, data_id),
        "an append under a lease older than the replica's version",
    )
    refused(
        "stale_version",
        lambda: cell.apply("cs2", old, 2, 0, data_id),
        "a secondary's mutation of the version before",
        why="a primary that has lost its lease must not mutate among those of its successor",
    )
    refused("stale_version", lambda: cell.grant(old), "a grant of the version before")
    cell.grant(advanced)
    offset = cell.ask_append(advanced, data_id)
    for name in cell.names:
        cell.holds(name, advanced, offset, b"data", "as the first append of a new version")


@claim(
    "A chunkserver serves without its master, and registers when it is there or asks for it",
    hint="start() must not wait for the master; go on trying; `register` true in an answer means: register again",
    read="labs/03_chunkserver/README.md#part-e-life-with-the-master",
)
def test_a_master_that_is_away(make_cluster: MakeCluster) -> None:
    cell = Cell(make_cluster, 1)
    chunk = cell.bare_chunk()
    cell.mutate("cs1", chunk, 1, 0, b"data")
    registered = len(cell.master.reports("cs1", "register"))
    away = cell.cluster.network.partition(["cs1"], ["master"])
    cell.cluster.restart("cs1")
    cell.holds("cs1", chunk, 0, b"data", "after a restart while the master is away")
    for _ in range(int(cell.limits.dead_after)):  # longer than one call to the master, with all its attempts
        cell.cluster.await_quiet()
        cell.cluster.advance(1.0)
    cell.cluster.network.remove(away)
    cell.heartbeats()
    expect(
        len(cell.master.reports("cs1", "register")) > registered,
        "a chunkserver that started while the master was away has not registered since",
        expected="a register before the first heartbeat",
    )
    registered = len(cell.master.reports("cs1", "register"))
    cell.master.forget.add("cs1")
    # On a busy machine time may pass before an answer is read, and the server has every right to ask again.
    for _ in range(10):
        cell.heartbeats()
        if len(cell.master.reports("cs1", "register")) > registered:
            break
    expect(
        len(cell.master.reports("cs1", "register")) > registered,
        "a chunkserver did not register again when the master said that it does not know it",
        expected="a register after a heartbeat answered with register: true",
        why="a master that has restarted knows replicas only from those that report them",
    )

"""Lab 3 part E: what a chunkserver tells its master, when, and what it does on command."""

from __future__ import annotations

from harness import disk_faults
from harness.failures import LabFailure
from harness.fixtures import MakeCluster
from harness.grading import claim, expect
from harness.stubs.cell import Cell

PERIODS = 4  # of heartbeats that are counted
FEWEST, MOST = 2, 10  # heartbeats in that time: some may have to be sent at once


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
    every_so_often(cell)
    cell.heartbeats()
    cell.heartbeats()
    reports_chunks(cell, "heartbeat", wanted, "with two chunks")
    expect(
        cell.master.reports("cs1", "register"),
        "a chunkserver sends heartbeats without having registered",
        expected="register first",
    )
    restarted = cell.cluster.now()
    cell.cluster.restart("cs1")
    cell.cluster.until(
        lambda: bool(cell.master.reports("cs1", "register", since=restarted)),
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
    says_its_rack(cell)


def every_so_often(cell: Cell) -> None:
    """Time stands still but for jumps, so that heartbeats come by themselves only when nobody pauses between them."""
    cell.cluster.set_rate(0.0)
    period, before = cell.limits.heartbeat, len(cell.master.reports("cs1", "heartbeat"))

    def count() -> int:
        return len(cell.master.reports("cs1", "heartbeat")) - before

    for _ in range(5 * PERIODS):
        if cell.cluster.await_quiet(lambda: count() > MOST):
            break
        cell.cluster.advance(period / 5)
    cell.cluster.set_rate(1.0)
    expect(
        FEWEST <= count() <= MOST,
        "heartbeats do not come every limits.heartbeat",
        expected=f"about {PERIODS} in {PERIODS * period:g} s",
        seen=f"more than {MOST}" if count() > MOST else str(count()),
        why="the master of thousands of servers drowns in more, and takes a server for dead after fewer",
    )


def says_its_rack(cell: Cell) -> None:
    cell.cluster.add("cs2", "chunkserver", {"master": "master", "rack": "r7"})
    cell.cluster.start("cs2")
    cell.cluster.until(lambda: bool(cell.master.reports("cs2", "register")), "that another server registers")
    racks = [ask.args["rack"] for ask in cell.master.got("register") if ask.args["name"] == "cs2"]
    expect(
        racks[-1] == "r7",
        "a register does not say in which rack the server is",
        expected="'r7', as ctx.config says",
        seen=repr(racks[-1]),
        why="the master spreads replicas over racks, and all would be in one (GFS §4.2)",
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
            crash = f"after a crash {disk_faults.moment(when, operation)} of {points} of advance_version"
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

"""Lab 2 part E: looking after chunks."""

from __future__ import annotations

from typing import Any

from harness.cluster import Cluster
from harness.failures import expect
from harness.grading import claim
from harness.network.faults import Aim
from harness.stubs.chunkserver import StubChunkserver
from harness.stubs.master_cell import STEP, MasterCell
from labkit import Limits
from labkit.errors import StaleVersion

LIMITS = Limits()

TOGETHER = 3.0  # virtual seconds within which nobody gives up copying a chunk


@claim(
    "A chunkserver that falls silent is given up, and taken back when it reports again",
    hint="compare the last heartbeat with dead_after, on the master's clock, now and then",
    read="labs/02_gfs_master/README.md#part-e-looking-after-chunks",
)
def test_dead_servers(cluster: Cluster) -> None:
    cell = MasterCell(cluster)
    cell.ask("create", path="/f")
    cell.ask("allocate", path="/f", index=0)
    silent, *others = cell.servers

    def replicas() -> list[str]:
        return sorted(cell.ask("lookup", path="/f", index=0)["replicas"])

    expect(replicas() == ["cs1", "cs2", "cs3"], "three servers hold the chunk", seen=repr(replicas()))
    cell.pass_time(LIMITS.dead_after + 2 * LIMITS.heartbeat, others)
    cluster.until(
        lambda: replicas() == ["cs2", "cs3"], "that the master gives up cs1, silent for half a minute,"
    )
    silent.heartbeat()
    cluster.until(lambda: replicas() == ["cs1", "cs2", "cs3"], "that the master takes cs1 back")


@claim(
    "A chunk that has lost replicas gets new ones, those with the fewest first and not many at once",
    hint="clone_chunk, at most limits.clones under way; a chunk with one replica before a chunk with two",
    read="labs/02_gfs_master/README.md#part-e-looking-after-chunks",
)
def test_lost_replicas_are_replaced(cluster: Cluster) -> None:
    cell = MasterCell(cluster, servers=5)
    cell.ask("create", path="/f")
    handles = [cell.ask("allocate", path="/f", index=index)["handle"] for index in range(12)]
    holders = {
        handle: {server.name for server in cell.servers if handle in server.chunks} for handle in handles
    }
    gone = cell.servers[:2]
    left = cell.servers[2:]
    copies = {handle: len(holders[handle] - {"cs1", "cs2"}) for handle in handles}
    # However they were placed: of two servers that hold half of the replicas some chunk loses one at least.
    short = [handle for handle in handles if 0 < copies[handle] < 3]
    expect(bool(short), "12 chunks on five servers, and none on the first two", seen=str(holders))
    spare = StubChunkserver(cluster, "cs6")
    # Both are heard for the last time at one moment, and so die at one; only jumps pass time from here on.
    cluster.set_rate(0.0)
    cell.report([*cell.servers, spare])
    cell.servers = [*left, spare]
    hold = cluster.network.hold(Aim("clone_chunk", "request", times=None))
    cell.eventually(lambda: bool(hold.frames), "that a lost replica is cloned (clone_chunk)", cell.servers)
    cell.pass_time(STEP, cell.servers)
    # Those begun together. Later ones may take the places of clones that the master has given up.
    begin = hold.frames[0].time
    first = {frame.header["args"]["handle"] for frame in hold.frames if frame.time - begin < TOGETHER}
    expect(
        len(first) <= LIMITS.clones,
        "too many chunks are cloned at once",
        expected=f"at most limits.clones, {LIMITS.clones}, under way",
        seen=f"{len(first)}: {sorted(first)}",
        why="clients need the network too",
    )
    fewest = min(copies[handle] for handle in short)
    expect(
        any(copies[handle] == fewest for handle in first),
        "none of the first chunks to be cloned is one with the fewest replicas",
        expected=f"one with {fewest} left among them",
        seen=f"chunks {sorted(first)}; replicas left of each: {copies}",
        why="it is the nearest to being lost",
    )
    cluster.network.release(hold)
    cell.eventually(
        lambda: all(len(cell.replicas("/f", handles.index(handle))) >= 3 for handle in short),
        "that every chunk with a replica left has three again",
        cell.servers,
    )
    for server in gone:
        expect(
            not any(request.method == "clone_chunk" for request in server.requests),
            "a server that counts as dead was asked to clone a chunk",
        )


@claim(
    "A replica that its server finds damaged is given up, and replaced by a good one",
    hint="a damaged replica is none, even if it is still listed; once a version is committed without it, it is garbage",
    read="labs/02_gfs_master/README.md#part-e-looking-after-chunks",
)
def test_damaged_replicas(cluster: Cluster) -> None:
    cell = MasterCell(cluster, servers=3)
    handle = cell.chunk("/f")
    cell.servers.append(StubChunkserver(cluster, "cs4"))
    cell.report(cell.servers[3:])
    broken = cell.servers[0]
    hold = cluster.network.hold(Aim("clone_chunk", "request", times=None))
    broken.damaged.add(handle)
    cell.eventually(
        lambda: cell.replicas("/f") == ["cs2", "cs3"],
        "that the replica at cs1, which every heartbeat says is damaged, is handed out no more",
    )
    cluster.network.release(hold)
    # By one at cs4, and cs1 is told to drop its own; or by one at cs1, made from a good one.
    cell.eventually(
        lambda: handle not in broken.damaged and len(cell.replicas("/f")) == 3,
        "that the chunk has three good replicas again, and cs1 no damaged one,",
    )


@claim(
    "A clone joins with a new version, while no lease runs, and has what clients wrote until then",
    hint="prepare (final false); take the lease back; raise the version; clone the rest (final true); commit",
    read="labs/02_gfs_master/README.md#part-e-looking-after-chunks",
)
def test_a_clone_joins(cluster: Cluster) -> None:
    cell = MasterCell(cluster, servers=3)
    handle = cell.chunk("/f")
    fresh = StubChunkserver(cluster, "cs4")
    lost = cell.servers[0]
    left = [*cell.servers[1:], fresh]
    cell.report([fresh])
    cell.pass_time(LIMITS.dead_after + 2 * LIMITS.heartbeat, cell.servers[1:])
    cell.servers = left
    lease = cell.patiently("lease", left, handle=handle)
    cell.eventually(lambda: "cs4" in cell.replicas("/f"), "that cs4 gets a replica", left)
    asked = fresh.got("clone_chunk")
    final = [request for request in asked if request.args["final"]]
    expect(
        bool(final) and not asked[0].args["final"],
        "a clone was not prepared before it was made final",
        expected="clone_chunk with final false, then with final true",
        seen=str([request.args for request in asked]),
    )
    source = cell.server(str(final[-1].args["source"]))
    version = cell.ask("lookup", path="/f", index=0)["version"]
    expect(
        version == fresh.chunks[handle] and version >= lease["version"],
        "the clone does not have the chunk's version",
        expected=str(version),
        seen=str(fresh.chunks[handle]),
    )
    primaries = [server for server in left if handle in server.leases]
    if final[-1].args["version"] >= lease["version"] and primaries:
        held = primaries[0].leases[handle]
        expect(
            held[0] > lease["version"] or (held[0] == version and "cs4" in (primaries[0].name, *held[2])),
            "a clone was made final while a lease ran that does not know of it",
            expected="the lease is taken back first, and the next one names the clone as well",
            seen=f"{primaries[0].name} holds {held}; the clone was made from {source.name}",
            why="what the primary orders from now on would never reach the clone",
        )
    old = lost.chunks.get(handle)
    again = cell.patiently("lease", left, handle=handle)
    expect(
        "cs4" in (again["primary"], *again["secondaries"]) and again["version"] > (old or 0),
        "the next lease does not have the clone among its replicas",
        seen=str(again),
    )


@claim(
    "A version that no replica takes over makes none of them stale",
    hint="a clone joins by a new version: commit it only if the clone and its source are among those that have it",
    read="labs/02_gfs_master/README.md#part-e-looking-after-chunks",
)
def test_a_clone_that_fails_costs_nothing(cluster: Cluster) -> None:
    cell = MasterCell(cluster, servers=3)
    handle = cell.chunk("/f")
    fresh = StubChunkserver(cluster, "cs4")
    cell.report([fresh])
    cell.servers = [*cell.servers[1:], fresh]
    others = cell.servers[:2]
    for server in others:
        server.handlers["advance_version"] = _refuse
    cell.eventually(
        lambda: all(server.got("advance_version") for server in others),
        "that the chunk's version is raised for a clone (advance_version at cs2 and cs3)",
    )
    cell.pass_time(3 * STEP, cell.servers)
    expect(
        all(handle in server.chunks for server in others),
        "good replicas were deleted, since all of them had refused a new version",
        expected=f"chunk {handle} at cs2 and cs3",
        seen=str({server.name: server.chunks for server in others}),
        why="the chunk is lost then, and nobody has written anything since",
    )
    for server in others:
        server.handlers["advance_version"] = server.advance_version
    cell.eventually(
        lambda: cell.replicas("/f") == ["cs2", "cs3", "cs4"],
        "that a clone joins once they take the version over",
    )


def _refuse(handle: int, previous: int, version: int) -> dict[str, Any]:
    raise StaleVersion(f"version {version} of chunk {handle} could not be stored")


@claim(
    "Replicas move from a full server to an empty one",
    hint="clone one to the emptiest server, then let the fullest give its own up",
    read="labs/02_gfs_master/README.md#part-e-looking-after-chunks",
)
def test_replicas_are_rebalanced(cluster: Cluster) -> None:
    cell = MasterCell(cluster, servers=3)
    handle = cell.chunk("/f")
    cell.servers[0].used = 10**13
    for server in cell.servers[1:]:
        server.used = 10**9
    cell.servers.append(StubChunkserver(cluster, "cs4"))
    cell.report(cell.servers[3:])
    cell.pass_time(LIMITS.dead_after + 2 * LIMITS.heartbeat, cell.servers)
    cell.eventually(
        lambda: cell.replicas("/f") == ["cs2", "cs3", "cs4"],
        "that the chunk moves from cs1, which has ten terabytes in use, to cs4, which has nothing,",
    )
    cell.eventually(lambda: handle not in cell.servers[0].chunks, "that cs1 is told to drop its replica")


@claim(
    "What is deleted can be had back for three days, and is gone then with its chunks",
    hint="delete is a rename to a hidden name; a look now and then reclaims the old ones, a delete of one at once",
    read="labs/02_gfs_master/README.md#part-e-looking-after-chunks",
)
def test_deletion_is_a_rename(cluster: Cluster) -> None:
    cell = MasterCell(cluster)
    handle = cell.chunk("/f")
    hidden = str(cell.ask("delete", path="/f")["hidden"])
    expect(cell.names() == [], "a deleted file, or its hidden name, is still listed", seen=str(cell.names()))
    cell.refused("stat", "no_such_file", path="/f")
    cell.refused("delete", "no_such_file", path="/f")
    expect(
        cell.ask("stat", path=hidden) == {"chunks": 1}, "a deleted file cannot be read under its hidden name"
    )
    again = cell.chunk("/f")
    twice = str(cell.ask("delete", path="/f")["hidden"])
    expect(twice != hidden, "two deleted files have one hidden name", seen=hidden)
    third = cell.chunk("/f")
    last = str(cell.ask("delete", path="/f")["hidden"])
    answer = cell.ask("delete", path=last)
    expect(
        answer.get("hidden") is None,
        "what was deleted under its hidden name has got another one",
        expected="hidden: nil; it is gone for good",
        seen=str(answer),
    )
    cell.refused("stat", "no_such_file", path=last)
    cell.restart()
    cell.refused("stat", "no_such_file", path=last)
    cell.eventually(
        lambda: not any(third in server.chunks for server in cell.servers),
        "that chunkservers are told to drop the chunk of a file that was deleted under its hidden name",
    )
    cluster.advance(LIMITS.garbage_delay - 600.0)
    cell.pass_time(2 * STEP, cell.servers)
    expect(
        all(handle in server.chunks and again in server.chunks for server in cell.servers),
        "the chunks of a deleted file were collected before three days had passed",
    )
    cell.ask("rename", source=hidden, target="/back")
    expect(
        cell.replicas("/back") == ["cs1", "cs2", "cs3"],
        "an undeleted file has lost replicas",
        seen=str(cell.replicas("/back")),
    )
    cluster.advance(700.0)
    cell.eventually(
        lambda: not any(again in server.chunks for server in cell.servers),
        "that chunkservers are told to drop the chunk of a file deleted three days ago",
    )
    cell.refused("stat", "no_such_file", path=twice)
    expect(
        all(handle in server.chunks for server in cell.servers),
        "a chunk of a file that was undeleted in time was collected",
    )


@claim(
    "Orphaned replicas are collected, and nothing that may be the last good one",
    hint="garbage is a handle that no file has, or a replica older than the committed version; unreachable is not garbage",
    read="labs/02_gfs_master/README.md#part-e-looking-after-chunks",
)
def test_garbage_is_collected(cluster: Cluster) -> None:
    cell = MasterCell(cluster)
    orphan = cell.chunk("/old")
    handle = cell.chunk("/f")
    cell.ask("delete", path="/old")
    cluster.advance(LIMITS.garbage_delay + 60.0)
    cell.eventually(
        lambda: not any(orphan in server.chunks for server in cell.servers),
        "that chunkservers are told to drop the chunk of a file deleted three days ago",
    )
    cell.servers[0].chunks[orphan] = 1
    cell.eventually(lambda: orphan not in cell.servers[0].chunks, "that a server is told to drop an orphan")
    away = cell.servers[0]
    others = cell.servers[1:]
    cell.pass_time(LIMITS.dead_after + 2 * LIMITS.heartbeat, others)
    cell.eventually(lambda: away.name not in cell.replicas("/f"), "that cs1 is given up", others)
    answer = away.register()
    expect(
        handle not in answer.get("delete", []) and handle in away.chunks,
        "a server that was out of reach for a while was told to drop a good replica",
        expected="no version was raised meanwhile: it has all that the others have",
        seen=str(answer),
        why="it may be the last one",
    )
    # Nobody could be heard, perhaps because the master was cut off: that is no reason to delete anything anywhere.
    cell.pass_time(LIMITS.dead_after + 2 * LIMITS.heartbeat, [])
    cell.eventually(lambda: cell.replicas("/f") == [], "that all servers are given up", [])
    for server in cell.servers:
        answer = server.heartbeat()
        expect(
            not answer.get("delete") and handle in server.chunks,
            "a server that was out of reach was told to drop a good replica, as the master had none listed",
            seen=str(answer),
            why="after a broken network this would delete whatever was there",
        )
    cell.eventually(lambda: len(cell.replicas("/f")) == 3, "that the replicas of all three are known again")
    # New chunks are being made while heartbeats tell of them already.
    cell.ask("create", path="/g")
    cluster.set_rate(0.0)
    hold = cluster.network.hold(Aim("create_chunk", "reply", times=None))
    making = cell.begin("allocate", path="/g", index=0)
    cluster.until(lambda: hold.first.is_set() or making.done, "that chunkservers are told of a new chunk")
    for server in cell.servers:
        answer = server.heartbeat()
        expect(
            not set(answer.get("delete", [])) - {orphan},
            "a server was told to drop a chunk that is just being made",
            seen=str(answer),
        )
    cluster.network.release(hold)
    making.result()

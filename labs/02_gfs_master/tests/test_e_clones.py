"""Lab 2 part E: clones of chunks that have lost replicas."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.cluster import Cluster
from harness.failures import expect
from harness.fixtures import MakeCluster
from harness.grading import claim
from harness.network.faults import Aim, Hold
from harness.network.frame import Frame
from harness.stubs.chunkserver import StubChunkserver
from harness.stubs.master_cell import STEP, MasterCell
from labkit import Limits
from labkit.errors import RemoteError, ReplicaFailed, StaleVersion

LIMITS = Limits()

TOGETHER = 3.0  # virtual seconds within which nobody gives up copying a chunk


@claim(
    "A chunk that has lost replicas gets new ones, those with the fewest first and not many at once",
    hint="clone_chunk, at most limits.clones under way; a chunk with one replica before a chunk with two",
    read="labs/02_gfs_master/README.md#part-e-looking-after-chunks",
)
def test_lost_replicas_are_replaced(make_cluster: MakeCluster) -> None:
    cluster = make_cluster()
    cell = MasterCell(cluster, servers=5)
    cell.ask("create", path="/f")
    handles = [cell.ask("allocate", path="/f", index=index)["handle"] for index in range(12)]
    holders = {
        handle: {server.name for server in cell.servers if handle in server.chunks} for handle in handles
    }
    copies = {handle: len(holders[handle] - {"cs1", "cs2"}) for handle in handles}
    # However they were placed: of two servers that hold half of the replicas some chunk loses one at least.
    short = [handle for handle in handles if 0 < copies[handle] < 3]
    expect(bool(short), "12 chunks on five servers, and none on the first two", seen=str(holders))
    gone = cell.servers[:2]
    # With three, clones of three chunks could be made at once, none of which shares a server with another.
    hold, together = first_clones(cell, gone, ["cs6", "cs7", "cs8"])
    first = {frame.header["args"]["handle"] for frame in together}
    expect(
        len(first) <= LIMITS.clones,
        "too many chunks are cloned at once",
        expected=f"at most limits.clones, {LIMITS.clones}, under way",
        seen=f"{len(first)}: {sorted(first)}",
        why="clients need the network too",
    )
    one_at_a_server(together)
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

    # All the same on fewer servers, where any two clones would share the only one that can take them.
    few = MasterCell(make_cluster(), servers=3)
    few.ask("create", path="/f")
    for index in range(4):
        few.ask("allocate", path="/f", index=index)
    one_at_a_server(first_clones(few, few.servers[:1], ["cs4"])[1])


def first_clones(
    cell: MasterCell, gone: Sequence[StubChunkserver], spares: Sequence[str]
) -> tuple[Hold, list[Frame]]:
    """Servers die and others come; what holds all clone_chunk, and one request for each clone begun together."""
    fresh = [StubChunkserver(cell.cluster, name) for name in spares]
    # All are heard for the last time at one moment, and so die at one; only jumps pass time from here on.
    cell.cluster.set_rate(0.0)
    cell.report([*cell.servers, *fresh])
    cell.servers = [server for server in [*cell.servers, *fresh] if server not in gone]
    hold = cell.cluster.network.hold(Aim("clone_chunk", "request", times=None))
    cell.eventually(lambda: bool(hold.frames), "that a lost replica is cloned (clone_chunk)", cell.servers)
    cell.pass_time(STEP, cell.servers)
    # Later ones may take the places of clones that the master has given up.
    begin = hold.frames[0].time
    # Of each the first, for it is asked for again while no answer comes.
    clones = {(frame.header["args"]["handle"], frame.receiver): frame for frame in reversed(hold.frames)}
    return hold, [frame for frame in clones.values() if frame.time - begin < TOGETHER]


def one_at_a_server(together: Sequence[Frame]) -> None:
    busy = [name for frame in together for name in (frame.receiver, str(frame.header["args"]["source"]))]
    expect(
        len(busy) == len(set(busy)),
        "several clones are made at one server at once",
        expected="one at most to or from any server, while clients use it too",
        seen=", ".join(
            f"chunk {frame.header['args']['handle']} from {frame.header['args']['source']} to {frame.receiver}"
            for frame in together
        ),
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
    cluster.set_rate(0.0)  # less than dead_after passes from the restart on
    cluster.restart("master")
    cell.report(left)
    cell.pass_time(2 * STEP, left)
    expect(
        not fresh.got("clone_chunk"),
        "a chunk was cloned before all servers had had time to report it after a restart of the master",
        expected=f"nothing cloned for {LIMITS.dead_after:g} s: cs1 has not registered yet, and has a replica",
        seen=str([request.args for request in fresh.got("clone_chunk")]),
        why="each restart would copy data that nobody has lost",
    )
    cell.report([lost])
    cluster.set_rate(1.0)
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


@claim(
    "A server that refuses to make a clone final has no replica",
    hint="look at the answer to clone_chunk: with an error, nothing says that the target has what its source has",
    read="labs/02_gfs_master/README.md#part-e-looking-after-chunks",
)
def test_a_refused_clone(cluster: Cluster) -> None:
    cell = MasterCell(cluster, servers=3)
    handle = cell.chunk("/f")
    fresh = StubChunkserver(cluster, "cs4")
    cluster.set_rate(0.0)  # only jumps pass time
    cell.report([*cell.servers, fresh])
    cell.servers = [*cell.servers[1:], fresh]
    others = cell.servers[:2]
    for error in (ReplicaFailed("cs2 is out of reach"), StaleVersion("this is another version")):
        refused = _refuse_final(fresh, error)
        cell.eventually(
            lambda refused=refused: bool(refused),
            "that a clone at cs4 is made final (clone_chunk with final true)",
        )
        for _ in range(3):
            cluster.await_quiet()
            found = cell.ask("lookup", path="/f", index=0)
            lease = cell.patiently("lease", cell.servers, handle=handle)
            expect(
                fresh.name not in (*found["replicas"], lease["primary"], *lease["secondaries"]),
                "a server counts as having a replica that it has refused to make",
                expected=f"nothing at cs4, which answered clone_chunk (final true) with {error.code}",
                seen=f"replicas {found['replicas']}, lease {lease}",
                why="clients would read there what is not there, and no mutation could succeed",
            )
            cell.pass_time(STEP, cell.servers)
        expect(
            all(handle in server.chunks for server in others),
            "good replicas were deleted, since a clone of them was refused",
            expected=f"chunk {handle} at cs2 and cs3",
            seen=str({server.name: server.chunks for server in others}),
        )
    fresh.handlers["clone_chunk"] = fresh.clone_chunk
    cell.eventually(
        lambda: cell.replicas("/f") == ["cs2", "cs3", "cs4"],
        "that a clone joins once cs4 makes it",
    )


def _refuse_final(server: StubChunkserver, error: RemoteError) -> list[int]:
    """It answers so from now on to whoever wants a clone made final; at which versions somebody has."""
    versions: list[int] = []

    def clone(handle: int, version: int, source: str, final: bool) -> dict[str, Any]:
        if final:
            versions.append(version)
            raise error
        return server.clone_chunk(handle, version, source, final)

    server.handlers["clone_chunk"] = clone
    return versions


def _refuse(handle: int, previous: int, version: int) -> dict[str, Any]:
    raise StaleVersion(f"version {version} of chunk {handle} could not be stored")

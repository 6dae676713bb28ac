"""Lab 2 part E: looking after chunks: the dead, the damaged, the full."""

from __future__ import annotations

from harness.cluster import Cluster
from harness.failures import expect
from harness.grading import claim
from harness.network.faults import Aim
from harness.stubs.chunkserver import StubChunkserver
from harness.stubs.master_cell import MasterCell
from labkit import Limits

LIMITS = Limits()


@claim(
    "A chunkserver that falls silent is given up, and taken back when it reports again",
    hint="compare the last heartbeat with dead_after, on the master's clock, now and then",
    read="labs/02_gfs_master/README.md#part-e-looking-after-chunks",
)
def test_dead_servers(cluster: Cluster) -> None:
    cell = MasterCell(cluster)
    cell.chunk("/f")
    handle = cell.chunk("/g")
    lease = cell.ask("lease", handle=handle)
    silent = cell.server(lease["secondaries"][0])
    others = [server for server in cell.servers if server is not silent]
    left = sorted(server.name for server in others)

    expect(
        cell.replicas("/f") == ["cs1", "cs2", "cs3"],
        "three servers hold the chunk",
        seen=str(cell.replicas("/f")),
    )
    cell.pass_time(LIMITS.dead_after + 2 * LIMITS.heartbeat, others)
    cell.eventually(
        lambda: cell.replicas("/f") == left,
        f"that the master gives up {silent.name}, silent for half a minute,",
        others,
    )

    def members() -> list[str]:
        now = cell.patiently("lease", others, handle=handle)
        return [now["primary"], *now["secondaries"]]

    cell.eventually(
        lambda: silent.name not in members(),
        f"that the lease is taken back in which {silent.name} is a secondary, under which no mutation can succeed any more,",
        others,
    )
    silent.heartbeat()
    cell.eventually(
        lambda: cell.replicas("/f") == ["cs1", "cs2", "cs3"], f"that the master takes {silent.name} back"
    )
    _dies_while_a_chunk_is_made(cell)


def _dies_while_a_chunk_is_made(cell: MasterCell) -> None:
    """cs1 has been silent for almost too long when it confirms that it has made a chunk, and cs3 never answers."""
    living = cell.servers[1:]
    cell.ask("create", path="/h")
    cell.report(cell.servers)
    for _ in range(int(LIMITS.dead_after) - 3):
        cell.pass_time(1.0, living)
    cell.cluster.network.drop(Aim("create_chunk", "request", receiver="cs3", times=None))
    handle = cell.answered("allocate", living, path="/h", index=0).result()["handle"]
    cell.eventually(lambda: "cs1" not in cell.replicas("/f"), "that cs1 is given up", living)
    told = cell.replicas("/h")
    expect(
        "cs1" not in told,
        "a server that was given up while a chunk was made is handed out as a replica of it",
        expected="only servers that are alive: cs1 confirmed, then it was silent for too long",
        seen=str(told),
        why="to give a server up takes it off the chunks in the table; off one that enters later nobody takes it again",
    )
    lease = cell.patiently("lease", living, handle=handle)
    expect(
        lease["primary"] != "cs1",
        "a server that was given up while a chunk was made is primary of it",
        expected="one that is alive: cs1 is silent",
        seen=str(lease),
        why="what answers once is not alive for that: no heartbeat of it will renew the lease",
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
    broken, version = cell.servers[0], cell.servers[0].chunks[handle]
    hold = cluster.network.hold(Aim("clone_chunk", "request", times=None))
    broken.damaged.add(handle)
    cell.eventually(
        lambda: cell.replicas("/f") == ["cs2", "cs3"],
        "that the replica at cs1, which every heartbeat says is damaged, is handed out no more",
    )
    cell.pass_time(1.0, cell.servers)
    versions = [server.chunks.get(handle, 0) for server in cell.servers[1:3]]
    expect(
        handle in broken.damaged or min(versions) > version,
        "a damaged replica was dropped before a version was committed without it",
        expected=f"kept by {broken.name}, for want of better, as long as the others have no newer version than {version}",
        seen=f"dropped; the others are at {versions}",
        why="if all replicas are damaged somewhere, each may have what the others have not",
    )
    cluster.network.release(hold)
    # By one at cs4, and cs1 is told to drop its own; or by one at cs1, made from a good one.
    cell.eventually(
        lambda: handle not in broken.damaged and len(cell.replicas("/f")) == 3,
        "that the chunk has three good replicas again, and cs1 no damaged one,",
    )


@claim(
    "Replicas move from a full server to an empty one",
    hint="clone one to the emptiest server, then let the fullest give its own up",
    read="labs/02_gfs_master/README.md#part-e-looking-after-chunks",
)
def test_replicas_are_rebalanced(cluster: Cluster) -> None:
    cell = MasterCell(cluster, servers=3)
    cell.servers[0].used = 10**13
    for server in cell.servers[1:]:
        server.used = 10**9
    # As long as there is no chunk there is nothing to move; who looks for one is to live on.
    cell.pass_time(LIMITS.dead_after + 2 * LIMITS.heartbeat, cell.servers)
    handle = cell.chunk("/f")
    cell.servers.append(StubChunkserver(cluster, "cs4"))
    hold = cluster.network.hold(Aim("clone_chunk", "request", times=None))
    cell.report(cell.servers[3:])
    cell.pass_time(LIMITS.dead_after + 2 * LIMITS.heartbeat, cell.servers)
    cell.eventually(
        hold.first.is_set,
        "that the chunk is cloned (clone_chunk) from cs1, which has ten terabytes in use, to cs4, which has nothing,",
    )
    seen = cell.replicas("/f")
    expect(
        len(seen) >= LIMITS.replicas,
        "a chunk has too few replicas while one of them moves",
        expected="a clone first, and only then one less",
        seen=", ".join(seen),
    )
    cluster.network.release(hold)
    cell.eventually(
        lambda: cell.replicas("/f") == ["cs2", "cs3", "cs4"], "that the chunk has moved from cs1 to cs4"
    )
    cell.eventually(lambda: handle not in cell.servers[0].chunks, "that cs1 is told to drop its replica")

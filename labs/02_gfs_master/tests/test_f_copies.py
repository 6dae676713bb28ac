"""Lab 2 part F: copies of the namespace and of the master."""

from __future__ import annotations

import contextlib
import time

from harness.cluster import Cluster
from harness.failures import LabFailure, expect
from harness.fixtures import MakeCluster
from harness.grading import claim
from harness.network.asker import Asker
from harness.network.faults import Aim
from harness.stubs.master_cell import SMALL, MasterCell
from harness.stubs.peer import ScriptedPeer
from labkit import Limits
from labkit.errors import RemoteError

LIMITS = Limits()
MAKING = ("create_chunk", "copy_chunk")


@claim(
    "A shadow shows what the master logged, a little late, and goes on when the master is gone",
    hint="ship the durable bytes of the log, and replay them with the code that recovers",
    read="labs/02_gfs_master/README.md#part-f-copies-of-the-namespace-and-of-the-master",
)
def test_shadow(cluster: Cluster) -> None:
    cell = MasterCell(cluster, servers=0)
    cluster.add("shadow", "shadow", {"master": "master"})
    cluster.start("shadow")
    cell.ask("create", path="/one")

    pause = [0.05]

    def shown() -> list[str]:
        # Time jumps seldom, and ever more seldom, so that no call of a shadow on a slow machine is given up for it.
        time.sleep(pause[0])
        pause[0] = min(1.5 * pause[0], 1.0)
        cluster.advance(LIMITS.heartbeat)
        with Asker(cluster.port("shadow") or 0) as asker:
            return asker.ask("list", {"path": "/"})[0]["paths"]

    cluster.until(lambda: shown() == ["/one"], "that the shadow shows the file /one")
    away = cluster.network.partition(["shadow"], ["master"])
    cell.ask("create", path="/two")
    for _ in range(4):  # long enough for it to have asked in vain
        seen = shown()
        expect(seen == ["/one"], "a shadow without a master has to stay where it was", seen=repr(seen))
    cluster.network.remove(away)
    cluster.until(lambda: shown() == ["/one", "/two"], "that the shadow catches up")
    cluster.crash("master")
    expect(
        shown() == ["/one", "/two"],
        "the shadow has to go on answering without the master",
        seen=repr(shown()),
    )
    try:
        answer = ScriptedPeer(cluster, "writer").ask("shadow", "create", {"path": "/three"})
    except RemoteError as error:
        expect(error.definite, "a shadow refused a change without being definite about it", seen=str(error))
    else:
        raise LabFailure("a shadow changed something", expected="a refusal: it only reads", seen=repr(answer))


@claim(
    "A shadow that was away while the log was cut catches up all the same",
    hint="when what it asks for is no more, send it the checkpoint, and then what follows",
    read="labs/02_gfs_master/README.md#part-f-copies-of-the-namespace-and-of-the-master",
)
def test_a_shadow_after_a_checkpoint(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(limits=SMALL)
    cell = MasterCell(cluster, servers=0)
    cluster.add("shadow", "shadow", {"master": "master"})
    cluster.start("shadow")
    cell.ask("mkdir", path="/d")
    cell.ask("create", path="/d/one")
    pause = [0.05]

    def shows(wanted: list[str]) -> bool:
        time.sleep(pause[0])
        pause[0] = min(1.5 * pause[0], 1.0)
        cluster.advance(LIMITS.heartbeat)
        with Asker(cluster.port("shadow") or 0) as asker:
            return asker.ask("list", {"path": "/"})[0]["paths"] == wanted

    cluster.until(lambda: shows(["/d", "/d/one"]), "that the shadow shows the first names")
    away = cluster.network.partition(["shadow"], ["master"])
    names = ["/d/one", "/d/two"]
    for _ in range(300):
        cell.ask("rename", source=names[0], target=names[1])
        names.reverse()
    cell.ask("create", path="/e")
    cluster.network.remove(away)
    pause[0] = 0.05
    cluster.until(lambda: shows(["/d", "/d/one", "/e"]), "that the shadow catches up after 300 renames")
    cell.ask("create", path="/f")
    cluster.until(lambda: shows(["/d", "/d/one", "/e", "/f"]), "that the shadow follows the log again")


@claim(
    "A snapshot shares chunks, and whoever writes first gets a copy",
    hint="revoke the leases, log it; a shared chunk gets no lease, and `allocate` copies it on its own servers",
    read="labs/02_gfs_master/README.md#part-f-copies-of-the-namespace-and-of-the-master",
)
def test_snapshot(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(limits=SMALL)
    cell = MasterCell(cluster)
    cell.ask("mkdir", path="/d")
    handle = cell.chunk("/d/f")
    lease = cell.ask("lease", handle=handle)
    primary = cell.server(lease["primary"])
    before = _made(cell)
    cell.ask("snapshot", source="/d", target="/s")
    expect(
        bool(primary.got("revoke_lease")) and handle not in primary.leases,
        "a snapshot was made while a primary could go on mutating",
        expected=f"revoke_lease to {primary.name} before the answer",
    )
    seen = cell.names()
    expect(seen == ["/d", "/d/f", "/s", "/s/f"], "the snapshot has other files", seen=str(seen))
    shared = cell.ask("lookup", path="/s/f", index=0)["handle"]
    expect(shared == handle, "the snapshot does not share the chunk", expected=str(handle), seen=str(shared))
    made = sorted(_made(cell) - before)
    expect(not made, "chunks were made before anybody wrote", expected="none", seen=str(made))
    cell.refused("lease", "shared_chunk", handle=handle)
    cell.checkpoint()
    cell.restart()
    cell.refused("lease", "shared_chunk", handle=handle)
    _no_copy_is_dropped(cell)
    own = cell.patiently("allocate", cell.servers, path="/d/f", index=0)
    expect(own["handle"] != handle, "the file has no chunk of its own to write to", seen=str(own))
    expect(
        sorted(own["replicas"]) == ["cs1", "cs2", "cs3"]
        and all(own["handle"] in one.chunks for one in cell.servers),
        "the copy is not where the shared chunk is",
        expected="copy_chunk on each of its three servers",
        seen=str(own),
    )
    kept = cell.ask("lookup", path="/s/f", index=0)["handle"]
    expect(kept == handle, "the snapshot has got the copy, and the file the original", seen=str(kept))
    # Only the snapshot has it now, and a client may still remember that it was the file's.
    cell.refused("lease", "shared_chunk", handle=handle)
    leased = cell.patiently("lease", cell.servers, handle=own["handle"])
    expect(leased["version"] > own["version"], "the copy gets no lease like any chunk", seen=str(leased))
    again = cell.ask("allocate", path="/d/f", index=0)["handle"]
    expect(again == own["handle"], "a chunk was copied twice", expected=str(own["handle"]), seen=str(again))
    cell.ask("delete", path="/d")
    cluster.advance(LIMITS.garbage_delay + 60.0)
    cell.eventually(
        lambda: not any(own["handle"] in server.chunks for server in cell.servers),
        "that the chunk of the deleted file is collected",
    )
    expect(
        all(handle in server.chunks for server in cell.servers) and cell.replicas("/s/f") != [],
        "the snapshot has lost a chunk with the file it was made from",
    )
    cell.ask("delete", path="/s")
    cluster.advance(LIMITS.garbage_delay + 60.0)
    cell.eventually(
        lambda: not any(handle in server.chunks for server in cell.servers),
        "that the shared chunk is collected when the file and its snapshot are both gone",
    )
    _no_lease_is_left(cell)


def _made(cell: MasterCell) -> set[int]:
    """The chunks that servers were told to make. Not how often: on a slow machine a request is sent again."""
    told = [one for server in cell.servers for method in MAKING for one in server.got(method)]
    return {int(one.args.get("copy", one.args["handle"])) for one in told}


def _no_copy_is_dropped(cell: MasterCell) -> None:
    """/d/f is to have a chunk of its own, and heartbeats tell of it already."""
    hold = cell.cluster.network.hold(Aim("copy_chunk", "reply", times=None))
    copying = cell.begin("allocate", path="/d/f", index=0)
    cell.cluster.until(
        lambda: hold.first.is_set() or copying.done, "that chunkservers are told to copy a shared chunk"
    )
    for server in cell.servers:
        answer = server.heartbeat()
        expect(
            not answer["delete"],
            "a server was told to drop a copy that is just being made",
            seen=str(answer),
        )
    cell.cluster.network.release(hold)
    with contextlib.suppress(RemoteError):
        copying.result()


def _no_lease_is_left(cell: MasterCell) -> None:
    """A primary cannot be reached when a snapshot is to take back its lease."""
    handle = cell.chunk("/g")
    lease = cell.patiently("lease", cell.servers, handle=handle)
    primary = cell.server(lease["primary"])
    _, until, _ = primary.leases[handle]
    hold = cell.cluster.network.hold(Aim("revoke_lease", receiver=primary.name, times=None))
    call = cell.answered("snapshot", cell.servers, keep=False, source="/g", target="/early")
    try:
        call.result()
    except RemoteError as error:
        expect(error.code == "no_replica", "a snapshot was refused for another reason", seen=str(error))
        cell.refused("stat", "no_such_file", path="/early")
    else:
        expect(
            cell.cluster.now() >= until,
            "a snapshot was made while a primary could go on mutating",
            expected=f"no_replica: {primary.name} has not been reached, and its lease runs",
            seen=f"made {until - cell.cluster.now():.1f} s before the lease is over",
        )
    cell.cluster.network.discard(hold)

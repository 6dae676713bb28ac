"""Lab 2 part C: what chunkservers do not answer, and what nobody can have."""

from __future__ import annotations

from typing import Any

from harness.failures import expect
from harness.fixtures import MakeCluster
from harness.grading import claim
from harness.network.faults import Aim
from harness.stubs.master_cell import STEP, MasterCell
from labkit.errors import ReplicaFailed


@claim(
    "What a chunkserver does not answer it may have done: taken a lease, or a new version",
    hint="no answer is neither yes nor no: wait such a lease out, and leave such a replica behind with a higher number",
    read="labs/02_gfs_master/README.md#part-c-leases-and-versions",
)
def test_calls_without_an_answer(make_cluster: MakeCluster) -> None:
    _a_version_is_taken(MasterCell(make_cluster()))
    _a_lease_is_taken(MasterCell(make_cluster()))


def _a_version_is_taken(cell: MasterCell) -> None:
    cell.cluster.set_rate(0.0)  # time passes by jumps only
    handle = cell.chunk("/f")
    *others, away = cell.servers
    away.handlers["clone_chunk"] = _fail  # it is not made good by a clone
    hold = cell.cluster.network.hold(Aim("advance_version", "reply", sender=away.name, times=None))
    lease = cell.patiently("lease", others, handle=handle)
    cell.cluster.network.discard(hold)
    members = [lease["primary"], *lease["secondaries"]]
    away.heartbeat()
    found = cell.ask("lookup", path="/f", index=0)
    expect(
        away.name in members or away.name not in found["replicas"],
        "a replica is handed out that the primary does not know of",
        expected=f"not {away.name}, whose answer to advance_version was lost: the lease is that of {', '.join(members)}",
        seen=f"{found}; the lease is {lease}",
        why="it has the version of the lease, and misses every mutation that follows",
    )
    away.chunks[handle] = odd = 1_000_000
    answer = away.register()
    found = cell.ask("lookup", path="/f", index=0)
    expect(
        away.name not in found["replicas"] and handle not in answer["delete"],
        "a replica whose version is above every number in the log is handed out, or dropped",
        expected=f"{away.name}, which registers it with version {odd}, neither believed nor told to drop it",
        seen=f"{found}; told to drop {answer['delete']}",
        why="no replica can have a version that the master never told one: nobody knows what this is",
    )


def _fail(handle: int, version: int, source: str, final: bool) -> dict[str, Any]:
    raise ReplicaFailed(f"chunk {handle} cannot be copied from {source}")


def _a_lease_is_taken(cell: MasterCell) -> None:
    cluster = cell.cluster
    cluster.set_rate(0.0)  # the master does not lose its patience before the server is cut off
    handle = cell.chunk("/f")
    hold = cluster.network.hold(Aim("grant_lease", "reply", times=None))
    call = cell.begin("lease", handle=handle)
    cluster.until(hold.first.is_set, "that a server is told that it is primary (grant_lease)")
    silent = next(server for server in cell.servers if handle in server.leases)
    others = [server for server in cell.servers if server is not silent]
    version, until, _ = silent.leases[handle]
    cluster.network.partition([silent.name], ["master"])
    cluster.network.discard(hold)
    while cluster.now() < until:
        if not cluster.await_quiet(lambda call=call: call.done):
            cell.pass_time(1.0, others, keep=False)
            continue
        cell.nobody_else(
            call.result,
            silent,
            lambda: until - cluster.now(),
            seen=f"; {silent.name} has taken the lease, and its answer was lost",
            why="a grant that was not answered may have been heard",
        )
        cell.pass_time(STEP, others, keep=False)
        call = cell.begin("lease", handle=handle)
    cell.next_lease(others, handle, version)

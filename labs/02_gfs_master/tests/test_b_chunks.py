"""Lab 2 part B: chunks, where they go, what is known of them."""

from __future__ import annotations

from typing import Any

from harness.cluster import Cluster
from harness.disk_faults import moment
from harness.failures import LabFailure, expect
from harness.fixtures import MakeCluster
from harness.grading import claim
from harness.stubs.master_cell import MasterCell
from labkit import Limits
from labkit.errors import StaleVersion
from labkit.protocol import CATALOGUE, HELLO

LIMITS = Limits()


@claim(
    "A chunk gets three replicas where there is room, and no index may be skipped",
    hint="an index below the count is a lookup, the count itself is a new chunk, anything else is a gap",
    read="labs/02_gfs_master/README.md#part-b-chunks-and-placement",
)
def test_chunks_are_placed(cluster: Cluster) -> None:
    cell = MasterCell(cluster, servers=4)
    cell.servers[1].used = 10**12
    cell.servers[1].heartbeat()
    cell.ask("create", path="/f")
    cell.refused("allocate", "no_such_chunk", path="/f", index=1)
    where = cell.ask("allocate", path="/f", index=0)
    stored = sorted(server.name for server in cell.servers if where["handle"] in server.chunks)
    expect(
        stored == ["cs1", "cs3", "cs4"],
        "the replicas are not on the three servers with the most room",
        expected="cs1, cs3, cs4; cs2 reported a terabyte in use",
        seen=", ".join(stored),
    )
    expect(
        sorted(where["replicas"]) == stored, "the reply names other replicas than were made", seen=repr(where)
    )
    again = cell.ask("allocate", path="/f", index=0)
    expect(again["handle"] == where["handle"], "the same index has two handles", seen=f"{where} and {again}")
    expect(cell.ask("lookup", path="/f", index=0)["handle"] == where["handle"], "lookup gives another handle")
    cell.refused("lookup", "no_such_chunk", path="/f", index=1)
    cell.refused("lookup", "no_such_chunk", path="/f", index=-1)
    cell.servers[0].handlers["create_chunk"] = _refuse
    second = cell.ask("allocate", path="/f", index=1)["replicas"]
    expect(
        sorted(second) == ["cs2", "cs3", "cs4"],
        "a chunk has fewer replicas than there are servers for, since one of them refused",
        expected="cs2, cs3, cs4: cs2 takes the place of cs1, which refuses, although cs2 is full",
        seen=", ".join(second),
    )


def _refuse(handle: int, version: int) -> dict[str, Any]:
    raise StaleVersion(f"chunk {handle} at version {version} could not be stored")


@claim(
    "No handle is used twice, whatever disk operation the master dies at",
    hint="use a handle up in the log before any chunkserver hears of it; never count what is there",
    read="labs/02_gfs_master/README.md#part-b-chunks-and-placement",
)
def test_handles_are_used_once(cluster: Cluster) -> None:
    cell = MasterCell(cluster)
    cell.ask("create", path="/f")
    before = len(cluster.operations("master"))
    cell.ask("allocate", path="/f", index=0)
    points = len(cluster.operations("master")) - before
    expect(points > 0, "allocate answered without writing anything to the disk")
    index = 1
    seen = {handle for server in cell.servers for handle in server.chunks}
    for operation in range(1, points + 1):
        for when in ("before", "half", "after"):
            cluster.crash_at("master", operation, when)
            try:
                cell.client.ask("master", "allocate", {"path": "/f", "index": index})
            except LabFailure:
                cluster.wait_dead("master")
            told = {r.args["handle"] for server in cell.servers for r in server.got("create_chunk")} - seen
            for server in cell.servers:
                server.chunks = {h: v for h, v in server.chunks.items() if h in seen}
            seen |= told
            cell.restart()
            count = cell.ask("stat", path="/f")["chunks"]
            where = cell.patiently("allocate", cell.servers, path="/f", index=count)
            expect(
                where["handle"] not in seen,
                "a handle was given out a second time",
                expected=f"a handle that no chunkserver has heard of before the crash ({moment(when, operation)})",
                seen=f"handle {where['handle']} again",
                why="two files would share the chunk",
            )
            seen.add(where["handle"])
            index = count + 1


@claim(
    "Where replicas are is learnt from the chunkservers, after a restart as well",
    hint="locations are not in the log: whoever registers says what it has",
    read="labs/02_gfs_master/README.md#part-b-chunks-and-placement",
)
def test_locations_are_learnt(cluster: Cluster) -> None:
    cell = MasterCell(cluster)
    for path in ("/a", "/a/b"):
        cell.ask("mkdir", path=path)
    cell.ask("create", path="/a/b/f")
    where = cell.ask("allocate", path="/a/b/f", index=0)
    cell.ask("rename", source="/a", target="/d")
    found = cell.ask("lookup", path="/d/b/f", index=0)
    expect(
        found["handle"] == where["handle"],
        "a renamed file has other chunks than before",
        expected=str(where["handle"]),
        seen=str(found["handle"]),
    )
    earlier = cell.servers[2].now()
    cluster.restart("master")
    found = cell.ask("lookup", path="/d/b/f", index=0)
    expect(found["replicas"] == [], "a restarted master names replicas nobody has reported", seen=repr(found))
    cell.report(cell.servers[:2])
    cell.servers[2].chunks.clear()
    cell.report(cell.servers[2:])
    found = cell.ask("lookup", path="/d/b/f", index=0)
    expect(
        sorted(found["replicas"]) == ["cs1", "cs2"],
        "the replicas are not those that reported the chunk",
        expected="cs1 and cs2; cs3 came back with an empty disk",
        seen=repr(found),
    )
    expect(found["handle"] == where["handle"], "the chunk has another handle after a restart")
    names = cell.names()
    expect(names == ["/d", "/d/b", "/d/b/f"], "a renamed directory is lost in a restart", seen=str(names))
    # Two messages of cs3 arrive that it had sent while it still had its disk.
    late = {"name": "cs3", "sent": earlier, "chunks": [[where["handle"], where["version"]]], "used": 0}
    more: dict[str, dict[str, Any]] = {
        "heartbeat": {"damaged": [], "leases": []},
        "register": {"rack": "r1"},
    }
    for method in more:
        cell.servers[2].ask("master", method, {**late, **more[method]})
        found = cell.ask("lookup", path="/d/b/f", index=0)
        expect(
            sorted(found["replicas"]) == ["cs1", "cs2"],
            f"a {method} that was overtaken by newer ones is believed",
            expected="cs1 and cs2; by its `sent` it is older than the registration without the chunk",
            seen=repr(found),
        )


@claim(
    "Replicas are spread over racks, and new chunks over servers",
    hint="first the rack with the fewest replicas of this chunk, then few recent creations, then little disk used",
    read="labs/02_gfs_master/README.md#part-b-chunks-and-placement",
)
def test_replicas_are_spread(make_cluster: MakeCluster) -> None:
    cell = MasterCell(make_cluster(), ["r1", "r1", "r1", "r1", "r2"])
    for server in cell.servers[3:]:
        server.used = 10**9
        server.heartbeat()
    cell.ask("create", path="/f")
    for index in range(3):
        where = cell.ask("allocate", path="/f", index=index)["replicas"]
        expect(
            "cs5" in where,
            "all replicas of a chunk are in one rack",
            expected="one on cs5, the only server in the other rack",
            seen=", ".join(where),
            why="one switch would take all of them",
        )
    plain = MasterCell(make_cluster(), servers=6)
    for server in plain.servers[1:]:
        server.used = 1_000_000
        server.heartbeat()
    plain.ask("create", path="/f")
    for index in range(30):
        plain.ask("allocate", path="/f", index=index)
    counts = {server.name: len(server.chunks) for server in plain.servers}
    expect(
        counts["cs1"] < 30 and min(counts.values()) > 0,
        "all new chunks went to the emptiest server",
        expected="30 chunks in a minute spread over six servers, so that no server gets all the writes",
        seen=str(counts),
    )


@claim(
    "No file data passes through the master, whatever it has done",
    hint="to clone or to copy a chunk, tell a chunkserver to: clone_chunk, copy_chunk",
    read="labs/02_gfs_master/README.md#part-b-chunks-and-placement",
)
def test_no_data_through_the_master(cluster: Cluster) -> None:
    cell = MasterCell(cluster, servers=4)
    handle = cell.chunk("/f")
    cell.ask("lease", handle=handle)
    gone = cell.server(cell.replicas("/f")[0])
    left = [server for server in cell.servers if server is not gone]
    cell.pass_time(LIMITS.dead_after + 2 * LIMITS.heartbeat, left)
    cell.eventually(lambda: len(cell.replicas("/f")) == 3, "that the chunk has three replicas again", left)
    cell.patiently("snapshot", left, source="/f", target="/g")
    cell.patiently("allocate", left, path="/f", index=0)
    told = {request.method for server in cell.servers for request in server.requests}
    known = {name for name, method in CATALOGUE.items() if method.caller == "master"} | {HELLO}
    expect(
        told <= known,
        "the master asks chunkservers for something that is not its business",
        expected=f"only {', '.join(sorted(known))}",
        seen=", ".join(sorted(told - known)),
    )
    bulk = [request.method for server in cell.servers for request in server.requests if request.payload]
    expect(not bulk, "the master sent bytes of a file", seen=", ".join(bulk))
    most = max(frame.size for frame in cluster.network.journal if "master" in (frame.sender, frame.receiver))
    expect(most < 4096, "a message of the master is as large as file data", seen=f"{most} bytes")

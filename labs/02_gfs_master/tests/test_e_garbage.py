"""Lab 2 part E: what is deleted, and what may be dropped."""

from __future__ import annotations

from harness.cluster import Cluster
from harness.failures import expect
from harness.fixtures import MakeCluster
from harness.grading import claim
from harness.network.faults import Aim
from harness.stubs.master_cell import SMALL, STEP, MasterCell
from labkit import Limits

LIMITS = Limits()


@claim(
    "What is deleted can be had back for three days, and is gone then with its chunks",
    hint="delete is a rename to a hidden name; a look now and then reclaims the old ones, a delete of one at once",
    read="labs/02_gfs_master/README.md#part-e-looking-after-chunks",
)
def test_deletion_is_a_rename(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(limits=SMALL)
    cell = MasterCell(cluster)
    handle = cell.chunk("/f")
    hidden = str(cell.ask("delete", path="/f")["hidden"])
    expect(cell.names() == [], "a deleted file, or its hidden name, is still listed", seen=str(cell.names()))
    cell.refused("stat", "no_such_file", path="/f")
    cell.refused("delete", "no_such_file", path="/f")
    for path in ("/", "/f/"):
        cell.refused("delete", "invalid_path", path=path)
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
    _what_is_hidden_stays_as_it_is(cell, hidden)
    cell.eventually(
        lambda: not any(third in server.chunks for server in cell.servers),
        "that chunkservers are told to drop the chunk of a file that was deleted under its hidden name",
    )
    cluster.advance(LIMITS.garbage_delay - 600.0)
    cell.checkpoint()
    cell.restart()
    cell.refused("stat", "no_such_file", path=last)
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


def _what_is_hidden_stays_as_it_is(cell: MasterCell, hidden: str) -> None:
    """But for a rename, or a delete of the whole: `hidden` is a file."""
    cell.refused("allocate", "invalid_path", path=hidden, index=1)
    cell.ask("mkdir", path="/dir")
    cell.ask("create", path="/dir/f")
    whole = str(cell.ask("delete", path="/dir")["hidden"])
    for method in ("create", "mkdir"):
        cell.refused(method, "invalid_path", path=whole + "/g")
    cell.refused("delete", "no_such_file", path=whole + "/f")
    cell.ask("rename", source=whole, target="/dir")
    seen = cell.names()
    expect(seen == ["/dir", "/dir/f"], "an undeleted directory is not what it was", seen=str(seen))


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
    _overtaken(cell, handle)


def _overtaken(cell: MasterCell, handle: int) -> None:
    """Heartbeats that are on their way while their servers answer the master arrive when it knows better."""
    late = [(server, server.written()) for server in cell.servers]
    cell.patiently("allocate", cell.servers, path="/g", index=1)
    lease = cell.patiently("lease", cell.servers, handle=handle)
    for server, heartbeat in late:
        deleted = server.send(heartbeat)["delete"]
        expect(
            handle not in deleted,
            "a server was told to drop a good replica",
            expected=f"it has confirmed version {lease['version']} since it sent the heartbeat, which says an older one",
            seen=f"{server.name} is to drop {deleted}",
            why="all servers may be told so, and the chunk is lost",
        )
    for path, index in (("/f", 0), ("/g", 1)):
        seen = cell.replicas(path, index)
        expect(
            seen == ["cs1", "cs2", "cs3"],
            "a replica is taken for lost or stale since a heartbeat does not tell of it",
            expected="all three: each server sent the heartbeat before it made the chunk, or raised its version",
            seen=f"{', '.join(seen)} for the chunk of {path} at {index}",
        )

"""Lab 2 part D: the log and the checkpoint."""

from __future__ import annotations

import contextlib
import itertools

from harness import disk_faults
from harness.cluster import Cluster
from harness.failures import LabFailure, expect
from harness.fixtures import MakeCluster
from harness.grading import claim
from harness.network.faults import Aim
from harness.stubs.master_cell import STEP, MasterCell
from harness.stubs.peer import ScriptedPeer
from labkit import Limits
from labkit.errors import RemoteError

LIMITS = Limits()
SMALL = {"log_limit": 1500}
FILES = 80


@claim(
    "What the master has answered for is there after a crash at any disk operation",
    hint="append to the log, sync, then answer; at recovery stop at the first record that is not whole",
    read="labs/02_gfs_master/README.md#part-d-log-and-checkpoint",
)
def test_durable_before_the_reply(cluster: Cluster) -> None:
    client = client_of_a_master(cluster)
    client.ask("master", "create", {"path": "/first"})
    before = len(cluster.operations("master"))
    client.ask("master", "create", {"path": "/second"})
    points = len(cluster.operations("master")) - before
    expect(points > 0, "create answered without writing anything to the disk")
    promised = ["/first", "/second"]
    for operation in range(1, points + 1):
        for when in ("before", "half", "after"):
            cluster.crash_at("master", operation, when)
            path = f"/{operation}-{when}"
            try:
                client.ask("master", "create", {"path": path})
                promised.append(path)
            except LabFailure:
                cluster.wait_dead("master")
            cluster.restart("master")
            found: list[str] = client.ask("master", "list", {"path": "/"})["paths"]
            lost = [name for name in promised if name not in found]
            made_up = [name for name in found if name not in promised and name != path]
            expect(
                not lost and not made_up,
                "the state after a crash is none that can follow from what was answered",
                expected=f"{promised}, and perhaps {path}, which was under way",
                seen=f"{found} after a crash {disk_faults.moment(when, operation)} of a create",
            )
            if path in found and path not in promised:
                promised.append(path)
            client.ask("master", "create", {"path": path + "-next"})
            promised.append(path + "-next")
    for free in (0, 1500):
        disk_faults.leave_room(cluster, "master", free)
        for number in range(8):  # together more than any room that a log may have taken beforehand
            path = f"/{free}-{number}-{'x' * 1000}"
            with contextlib.suppress(RemoteError):
                try:
                    client.ask("master", "create", {"path": path})
                except LabFailure:  # it has died, or waits for room
                    break
                promised.append(path)
        cluster.restart("master")
        found = client.ask("master", "list", {"path": "/"})["paths"]
        lost = [name[:10] for name in promised if name not in found]
        expect(
            not lost,
            "a file whose creation was answered is lost in a restart, since the disk was full",
            expected="an error for what the disk did not take, and for all that would come behind it in the log",
            seen=f"{len(lost)} are lost, among them {lost[0] if lost else ''}…; {free} bytes had been free",
        )


@claim(
    "The log stays short: a checkpoint takes its place, and service goes on",
    hint="when the log is longer than limits.log_limit, write a checkpoint and let the old log go",
    read="labs/02_gfs_master/README.md#part-d-log-and-checkpoint",
)
def test_the_log_is_bounded(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(limits=SMALL)
    cell = MasterCell(cluster)
    handle = cell.chunk("/f")
    version = cell.ask("lease", handle=handle)["version"]
    cell.ask("mkdir", path="/d")
    primary = cell.server(cell.ask("lease", handle=handle)["primary"])
    names = ["/a", "/b"]
    cell.ask("create", path="/a")
    for _ in range(500):
        cell.ask("rename", source=names[0], target=names[1])
        names.reverse()

    bound = 10 * SMALL["log_limit"]
    cluster.until(
        lambda: stored(cluster) <= bound,
        f"that the master's disk holds no more than {bound} bytes after 500 renames of one file",
    )
    cluster.set_rate(0.0)  # the lease does not end by itself
    renewed = dict(map(tuple, primary.heartbeat()["leases"]))
    _, granted, _ = primary.leases.get(handle, (version, 0.0, ()))
    until = renewed.get(handle, granted)
    cluster.crash("master")
    cluster.start("master")
    _follows(cell.names(), ["/a", "/d", "/f"], [], "a restart after many checkpoints")
    others = [server for server in cell.servers if server is not primary]
    hold = cluster.network.hold(Aim("revoke_lease", receiver=primary.name, times=None))
    cell.report(others)
    cell.pass_time(LIMITS.dead_after + STEP, others, keep=False)
    cell.nobody_else(
        cell.answered("lease", others, keep=False, handle=handle).result,
        primary,
        lambda: until - cluster.now(),
        seen=", after checkpoints and a restart",
        why="whose lease may run must be known from a checkpoint as it is from the log",
    )
    cluster.network.discard(hold)
    cell.report(cell.servers)
    seen = cell.ask("lookup", path="/f", index=0)
    expect(
        seen["handle"] == handle and seen["version"] == version and len(seen["replicas"]) == 3,
        "a chunk is not what it was before the checkpoint",
        expected=f"handle {handle}, version {version}, three replicas as the chunkservers reported",
        seen=str(seen),
    )
    another = cell.chunk("/g")
    expect(another != handle, "a handle was given out again after a checkpoint", seen=str(another))


@claim(
    "A checkpoint that finds no room is made when there is some, and service goes on meanwhile",
    hint="an OSError ends one checkpoint, not the thread that makes them; the old log stays, and the next record tries again",
    read="labs/02_gfs_master/README.md#part-d-log-and-checkpoint",
)
def test_a_checkpoint_without_room(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(limits=SMALL)
    client = client_of_a_master(cluster)
    # Long, and so that nobody makes them short: a checkpoint needs more room than some records of the log.
    names = [f"/{cluster.rng.randbytes(500).hex()}" for _ in range(FILES)]
    for name in names:
        client.ask("master", "create", {"path": name})
    cluster.await_quiet()
    disk_faults.leave_room(cluster, "master", stored(cluster) // 4)  # some for the log, none for a checkpoint
    for path in ("/one", "/two"):
        with contextlib.suppress(RemoteError):  # from a master that has no room for it either
            for number in range(4):  # eight are more than the log may hold, and fit in the room
                client.ask("master", "mkdir", {"path": f"{path}{number}{'-' * 200}"})
        cluster.await_quiet()
    disk_faults.leave_room(cluster, "master", 1 << 20)
    before = stored(cluster)
    new = "/new"
    client.ask("master", "create", {"path": new})
    for number in range(60):
        source, new = new, f"/new{number}{'-' * 1000}"
        client.ask("master", "rename", {"source": source, "target": new})
    bound = before + 10 * SMALL["log_limit"]
    cluster.until(
        lambda: stored(cluster) <= bound,
        f"that the master's disk holds no more than {bound} bytes after 60 renames, since the disk had no room for a while,",
    )
    cluster.restart("master")
    found: list[str] = client.ask("master", "list", {"path": "/"})["paths"]
    _follows(
        [name for name in found if name in (*names, new)], [*names, new], [], "a checkpoint without room"
    )


@claim(
    "A crash at any disk operation of a checkpoint loses nothing",
    hint="write it aside, sync, rename; only then let the old log go",
    read="labs/02_gfs_master/README.md#part-d-log-and-checkpoint",
)
def test_a_crash_in_a_checkpoint(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(limits=SMALL)
    client = client_of_a_master(cluster)
    promised: list[str] = []
    numbers = itertools.count(1)
    path = f"/{'x' * 100}"

    def work(count: int) -> list[str]:
        """Create and delete; the names under way when the master dies."""
        for _ in range(count):
            name = f"{path}{next(numbers)}"
            try:
                client.ask("master", "create", {"path": name})
                promised.append(name)
                if len(promised) > 4:
                    oldest = promised.pop(0)
                    name = oldest
                    client.ask("master", "delete", {"path": oldest})
            except LabFailure:
                cluster.wait_dead("master")
                return [name]
        return []

    rounds = 12  # so many that the log is longer than the limit
    work(rounds)
    before = len(cluster.operations("master"))
    work(rounds)
    cluster.until(
        lambda: bool(checkpoints(cluster)), "a checkpoint: a file of the disk that is renamed or removed,"
    )
    points = len(cluster.operations("master")) - before
    for operation in range(1, points + 8, 1):
        when = ("before", "half", "after")[operation % 3]
        for chosen in (when,) if operation > 30 else ("before", "half", "after"):
            cluster.crash_at("master", operation, chosen)
            unsure = work(rounds)
            if cluster.nodes["master"].alive:
                cluster.crash("master")
            cluster.start("master")
            found: list[str] = client.ask("master", "list", {"path": "/"})["paths"]
            what = f"a crash {chosen} disk operation {operation}, checkpoints among them"
            _follows(found, promised, unsure, what)
            promised[:] = [name for name in promised if name in found]
            promised += [name for name in unsure if name in found and name not in promised]


def client_of_a_master(cluster: Cluster) -> ScriptedPeer:
    """Start a master alone, without chunkservers."""
    cluster.add("master", "master")
    cluster.start("master")
    return ScriptedPeer(cluster, "client")


def stored(cluster: Cluster) -> int:
    """Bytes on the master's disk."""
    sizes = 0
    for path in cluster.nodes["master"].disk.iterdir():
        with contextlib.suppress(FileNotFoundError):  # it may go while we look
            sizes += path.stat().st_size
    return sizes


def checkpoints(cluster: Cluster) -> list[str]:
    return [str(one["file"]) for one in cluster.operations("master") if one["what"] in ("replace", "remove")]


def _follows(found: list[str], promised: list[str], unsure: list[str], what: str) -> None:
    """The names found are those promised; each of `unsure` may be there or not."""
    lost = [name for name in promised if name not in found and name not in unsure]
    made_up = [name for name in found if name not in promised and name not in unsure]
    expect(
        not lost and not made_up,
        "the state after a crash is none that can follow from what was answered",
        expected=f"{_short(promised)}, and perhaps {_short(unsure)} or not",
        seen=f"{_short(found)} after {what}",
    )


def _short(names: list[str]) -> list[str]:
    """For people: what long names begin and end with."""
    return [name if len(name) < 40 else f"{name[:3]}…{name[-6:]}" for name in names]

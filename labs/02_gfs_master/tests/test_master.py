"""Lab 2: the master, alone among scripted chunkservers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from harness.cluster import Cluster
from harness.failures import LabFailure
from harness.grading import claim, expect
from harness.network.asker import Asker
from harness.network.faults import Aim
from harness.stubs.chunkserver import StubChunkserver
from harness.stubs.peer import ScriptedPeer
from labkit import Limits
from labkit.errors import RemoteError

LIMITS = Limits()
STEP = 4.0


@pytest.fixture
def cluster(make_cluster: Callable[..., Cluster]) -> Cluster:
    """Real time: whatever has to pass, the tests let pass by jumps."""
    return make_cluster(rate=1.0)


class Lab:
    """A master, some stub chunkservers, and a client that can be any."""

    def __init__(self, cluster: Cluster, servers: int = 3) -> None:
        self.cluster = cluster
        cluster.add("master", "master")
        cluster.start("master")
        self.client = ScriptedPeer(cluster, "client")
        self.servers = [StubChunkserver(cluster, f"cs{number}") for number in range(1, servers + 1)]
        self.report(self.servers)

    def report(self, servers: Sequence[StubChunkserver]) -> None:
        for server in servers:
            server.register()
            server.heartbeat()

    def ask(self, method: str, **args: Any) -> dict[str, Any]:
        return self.client.ask("master", method, args)

    def refused(self, method: str, code: str, **args: Any) -> None:
        """The master has to answer with this error."""
        try:
            answer = self.ask(method, **args)
        except RemoteError as error:
            expect(
                error.code == code,
                f"{method} {args} was refused for another reason",
                expected=code,
                seen=str(error),
            )
            return
        raise LabFailure(f"{method} {args} was not refused", expected=code, seen=repr(answer))

    def pass_time(self, seconds: float, servers: Sequence[StubChunkserver], *, keep: bool = True) -> None:
        """Time passes while these servers, and no others, go on reporting."""
        end = self.cluster.now() + seconds
        while self.cluster.now() < end:
            self.cluster.advance(STEP)
            for server in servers:
                server.heartbeat(keep=keep)

    def patiently(self, method: str, servers: Sequence[StubChunkserver], **args: Any) -> dict[str, Any]:
        """Ask again while the master says that it cannot yet."""
        for _ in range(40):
            try:
                return self.ask(method, **args)
            except RemoteError as error:
                if error.code != "no_replica":
                    raise
                self.pass_time(STEP, servers)
        raise LabFailure(
            f"{method} {args}: no_replica for 160 virtual seconds with {len(servers)} servers alive"
        )

    def restart(self) -> None:
        self.cluster.restart("master")
        self.report(self.servers)


@claim(
    "Every file has one name, and every wrong name is refused for its own reason",
    hint="check the path first, then whether it is taken, then its parent",
    read="labs/02_gfs_master/README.md#part-a-namespace",
)
def test_names(cluster: Cluster) -> None:
    lab = Lab(cluster, servers=0)
    for path in ("/b", "/a", "/ä ö", "/a.b"):
        lab.ask("create", path=path)
    for path in ("", "a", "/", "//a", "/a/", "/.", "/..", "/a\0b", "/" + "x" * 5000):
        lab.refused("create", "file_exists" if path == "/" else "invalid_path", path=path)
    lab.refused("create", "file_exists", path="/a")
    lab.refused("create", "no_such_file", path="/nowhere/a")
    lab.refused("stat", "no_such_file", path="/c")
    listed = lab.ask("list", path="/").get("paths")
    wanted = sorted(["/a", "/b", "/a.b", "/ä ö"])
    expect(listed == wanted, "list does not show all full path names, sorted", expected=wanted, seen=listed)
    expect(lab.ask("stat", path="/a") == {"chunks": 0}, "a new file has no chunks")


@claim(
    "A chunk gets three replicas where there is room, and no index may be skipped",
    hint="an index below the count is a lookup, the count itself is a new chunk, anything else is a gap",
    read="labs/02_gfs_master/README.md#part-b-chunks-and-placement",
)
def test_chunks_are_placed(cluster: Cluster) -> None:
    lab = Lab(cluster, servers=4)
    lab.servers[1].used = 10**12
    lab.servers[1].heartbeat()
    lab.ask("create", path="/f")
    lab.refused("allocate", "no_such_chunk", path="/f", index=1)
    where = lab.ask("allocate", path="/f", index=0)
    stored = sorted(server.name for server in lab.servers if where["handle"] in server.chunks)
    expect(
        stored == ["cs1", "cs3", "cs4"],
        "the replicas are not on the three servers with the most room",
        expected="cs1, cs3, cs4; cs2 reported a terabyte in use",
        seen=", ".join(stored),
    )
    expect(
        sorted(where["replicas"]) == stored, "the reply names other replicas than were made", seen=repr(where)
    )
    again = lab.ask("allocate", path="/f", index=0)
    expect(again["handle"] == where["handle"], "the same index has two handles", seen=f"{where} and {again}")
    expect(lab.ask("lookup", path="/f", index=0)["handle"] == where["handle"], "lookup gives another handle")
    lab.refused("lookup", "no_such_chunk", path="/f", index=1)


@claim(
    "No handle is used twice, whatever disk operation the master dies at",
    hint="use a handle up in the log before any chunkserver hears of it; never count what is there",
    read="labs/02_gfs_master/README.md#part-b-chunks-and-placement",
)
def test_handles_are_used_once(cluster: Cluster) -> None:
    lab = Lab(cluster)
    lab.ask("create", path="/f")
    before = len(cluster.operations("master"))
    lab.ask("allocate", path="/f", index=0)
    points = len(cluster.operations("master")) - before
    expect(points > 0, "allocate answered without writing anything to the disk")
    index = 1
    seen = {handle for server in lab.servers for handle in server.chunks}
    for operation in range(1, points + 1):
        for when in ("before", "half", "after"):
            cluster.crash_at("master", operation, when)
            try:
                lab.client.ask("master", "allocate", {"path": "/f", "index": index})
            except LabFailure:
                cluster.wait_dead("master")
            told = {r.args["handle"] for server in lab.servers for r in server.got("create_chunk")} - seen
            for server in lab.servers:
                server.chunks = {h: v for h, v in server.chunks.items() if h in seen}
            seen |= told
            lab.restart()
            count = lab.ask("stat", path="/f")["chunks"]
            where = lab.patiently("allocate", lab.servers, path="/f", index=count)
            expect(
                where["handle"] not in seen,
                "a handle was given out a second time",
                expected=f"a handle that no chunkserver has heard of before the crash ({when} disk operation {operation})",
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
    lab = Lab(cluster)
    lab.ask("create", path="/f")
    where = lab.ask("allocate", path="/f", index=0)
    cluster.restart("master")
    found = lab.ask("lookup", path="/f", index=0)
    expect(found["replicas"] == [], "a restarted master names replicas nobody has reported", seen=repr(found))
    lab.report(lab.servers[:2])
    lab.servers[2].chunks.clear()
    lab.report(lab.servers[2:])
    found = lab.ask("lookup", path="/f", index=0)
    expect(
        sorted(found["replicas"]) == ["cs1", "cs2"],
        "the replicas are not those that reported the chunk",
        expected="cs1 and cs2; cs3 came back with an empty disk",
        seen=repr(found),
    )
    expect(found["handle"] == where["handle"], "the chunk has another handle after a restart")


@claim(
    "A lease raises the version everywhere before anyone is told, and never twice to one number",
    hint="log that the version is about to be raised, tell the replicas, log what they said, then grant",
    read="labs/02_gfs_master/README.md#part-c-leases-and-versions",
)
def test_a_grant_raises_the_version(cluster: Cluster) -> None:
    lab = Lab(cluster)
    lab.ask("create", path="/f")
    handle = lab.ask("allocate", path="/f", index=0)["handle"]
    before = len(cluster.operations("master"))
    lease = lab.ask("lease", handle=handle)
    points = len(cluster.operations("master")) - before
    expect(points > 0, "a lease was granted without a word in the log")
    versions = {server.name: server.chunks[handle] for server in lab.servers}
    expect(
        set(versions.values()) == {lease["version"]} and lease["version"] > 1,
        "not every replica has the version of the lease",
        seen=f"lease {lease}, replicas {versions}",
    )
    holder = next(server for server in lab.servers if server.name == lease["primary"])
    expect(handle in holder.leases, "the primary was never told of its lease", seen=repr(lease))
    _, until, secondaries = holder.leases[handle]
    expect(
        until <= cluster.now() + LIMITS.lease
        and sorted([holder.name, *secondaries]) == ["cs1", "cs2", "cs3"],
        "the grant promises too much",
        expected=f"until at most {LIMITS.lease:g} s after the primary's last heartbeat; all others as secondaries",
        seen=f"until in {until - cluster.now():.1f} s, secondaries {secondaries}",
    )
    granted = {lease["version"]}
    for operation in range(1, points + 1):
        for when in ("before", "half", "after"):
            lab.pass_time(LIMITS.lease + STEP, lab.servers, keep=False)
            cluster.crash_at("master", operation, when)
            try:
                lab.ask("lease", handle=handle)
            except LabFailure:
                cluster.wait_dead("master")
            granted |= {r.args["version"] for server in lab.servers for r in server.got("grant_lease")}
            lab.restart()
            again = lab.patiently("lease", lab.servers, handle=handle)
            expect(
                again["version"] > max(granted),
                "a version was granted twice",
                expected=f"more than {max(granted)} after a crash {when} disk operation {operation}",
                seen=repr(again),
                why="replicas that missed a mutation could not be told from those that have it",
            )
            granted.add(again["version"])


@claim(
    "There are never two primaries: a silent primary keeps its chunk until its lease is surely over",
    hint="count the lease from when the heartbeat it rests on was heard, and wait it out after a restart too",
    read="labs/02_gfs_master/README.md#part-c-leases-and-versions",
)
def test_one_primary_at_a_time(cluster: Cluster) -> None:
    lab = Lab(cluster)
    lab.ask("create", path="/f")
    handle = lab.ask("allocate", path="/f", index=0)["handle"]
    for restart in (False, True):
        lease = lab.patiently("lease", lab.servers, handle=handle)
        silent = next(server for server in lab.servers if server.name == lease["primary"])
        others = [server for server in lab.servers if server is not silent]
        _, until, _ = silent.leases[handle]
        hold = cluster.network.hold(Aim("revoke_lease", receiver=silent.name, times=None))
        if restart:
            cluster.restart("master")
            lab.report(others)
        while cluster.now() < until:
            try:
                other = lab.ask("lease", handle=handle)
            except RemoteError as error:
                expect(error.code == "no_replica", "lease was refused for another reason", seen=str(error))
            else:
                expect(
                    cluster.now() >= until or other["primary"] == silent.name,
                    "two primaries at once",
                    expected=f"nobody but {silent.name} before its lease is over, in {until - cluster.now():.1f} s",
                    seen=repr(other) + (" after a restart of the master" if restart else ""),
                    why="the old primary may be alive behind a broken network and go on mutating",
                )
            lab.pass_time(STEP, others, keep=False)
        new = lab.patiently("lease", others, handle=handle)
        expect(
            new["version"] > lease["version"],
            "the new lease has no higher version",
            seen=f"{lease}, then {new}",
        )
        cluster.network.discard(hold)
        silent.chunks[handle] = new["version"]
        for server in lab.servers:
            server.leases.clear()
        lab.pass_time(LIMITS.lease + STEP, others, keep=False)
        lab.report([silent])


@claim(
    "A stale replica is never handed out, even when it is all there is",
    hint="no data beats old data: only replicas at the chunk's version count",
    read="labs/02_gfs_master/README.md#part-c-leases-and-versions",
)
def test_stale_replicas(cluster: Cluster) -> None:
    lab = Lab(cluster)
    lab.ask("create", path="/f")
    handle = lab.ask("allocate", path="/f", index=0)["handle"]
    missed, *others = lab.servers
    old = missed.chunks[handle]
    lab.pass_time(LIMITS.dead_after + 2 * LIMITS.heartbeat, others)
    cluster.until(
        lambda: missed.name not in lab.ask("lookup", path="/f", index=0)["replicas"],
        f"that the master gives up {missed.name}, silent for half a minute,",
    )
    lab.patiently("lease", others, handle=handle)
    expect(missed.chunks[handle] == old, "a server that counts as dead was told of the new version")
    answer = missed.register()
    expect(
        handle in answer.get("delete", []),
        "a server with a stale replica is not told to drop it",
        seen=repr(answer),
    )
    missed.chunks[handle] = old
    for server in others:
        server.stop()
    for _ in range(10):
        cluster.advance(STEP)
        missed.chunks[handle] = old
        missed.heartbeat()
    found = lab.ask("lookup", path="/f", index=0)
    expect(missed.name not in found["replicas"], "a stale replica was handed out", seen=repr(found))


@claim(
    "What the master has answered for is there after a crash at any disk operation",
    hint="append to the log, sync, then answer; at recovery stop at the first record that is not whole",
    read="labs/02_gfs_master/README.md#part-d-log-and-checkpoint",
)
def test_durable_before_the_reply(cluster: Cluster) -> None:
    cluster.add("master", "master")
    cluster.start("master")
    client = ScriptedPeer(cluster, "client")
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
                seen=f"{found} after a crash {when} disk operation {operation} of a create",
            )
            if path in found and path not in promised:
                promised.append(path)
            client.ask("master", "create", {"path": path + "-next"})
            promised.append(path + "-next")


@claim(
    "A chunkserver that falls silent is given up, and taken back when it reports again",
    hint="compare the last heartbeat with dead_after, on the master's clock, now and then",
    read="labs/02_gfs_master/README.md#part-e-looking-after-chunks",
)
def test_dead_servers(cluster: Cluster) -> None:
    lab = Lab(cluster)
    lab.ask("create", path="/f")
    lab.ask("allocate", path="/f", index=0)
    silent, *others = lab.servers

    def replicas() -> list[str]:
        return sorted(lab.ask("lookup", path="/f", index=0)["replicas"])

    expect(replicas() == ["cs1", "cs2", "cs3"], "three servers hold the chunk", seen=repr(replicas()))
    lab.pass_time(LIMITS.dead_after + 2 * LIMITS.heartbeat, others)
    cluster.until(
        lambda: replicas() == ["cs2", "cs3"], "that the master gives up cs1, silent for half a minute,"
    )
    silent.heartbeat()
    cluster.until(lambda: replicas() == ["cs1", "cs2", "cs3"], "that the master takes cs1 back")


@claim(
    "A shadow shows what the master logged, a little late, and goes on when the master is gone",
    hint="ship the durable bytes of the log, and replay them with the code that recovers",
    read="labs/02_gfs_master/README.md#part-f-copies-of-the-namespace-and-of-the-master",
)
def test_shadow(cluster: Cluster) -> None:
    lab = Lab(cluster, servers=0)
    cluster.add("shadow", "shadow", {"master": "master"})
    cluster.start("shadow")
    lab.ask("create", path="/one")

    def shown() -> list[str]:
        cluster.advance(LIMITS.heartbeat)
        with Asker(cluster.port("shadow") or 0) as asker:
            return asker.ask("list", {"path": "/"})[0]["paths"]

    cluster.until(lambda: shown() == ["/one"], "that the shadow shows the file /one")
    away = cluster.network.partition(["shadow"], ["master"])
    lab.ask("create", path="/two")
    expect(shown() == ["/one"], "a shadow without a master has to stay where it was", seen=repr(shown()))
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

"""A master alone among scripted chunkservers, and a client that can be any: what tests of lab 2 hold.

    cell = MasterCell(make_cluster(), 3)                 # cs1 to cs3 have registered
    handle = cell.chunk("/f")                            # a file with one chunk
    cell.ask("lease", handle=handle)

Time runs as fast as real time; whatever has to pass, a test lets pass by jumps, and heartbeats go out only when it
sends them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from harness.cluster import Cluster
from harness.failures import LabFailure, expect
from harness.stubs.cell import Call
from harness.stubs.chunkserver import MASTER, StubChunkserver
from harness.stubs.peer import ScriptedPeer
from labkit.errors import RemoteError

SMALL = {"log_limit": 4000}  # a checkpoint is made soon
STEP = 4.0
PATIENCE = 30.0  # seconds of patience
LONGEST = 300.0  # virtual seconds in which a master does whatever it does by itself


class MasterCell:
    """`racks`: of the servers, as many as there are to be; or give how many, all in one rack."""

    def __init__(self, cluster: Cluster, servers: int | Sequence[str] = 3) -> None:
        self.cluster = cluster
        cluster.add(MASTER, "master")
        cluster.start(MASTER)
        self.client = ScriptedPeer(cluster, "client")
        racks = ["r1"] * servers if isinstance(servers, int) else servers
        self.servers = [
            StubChunkserver(cluster, f"cs{number}", rack) for number, rack in enumerate(racks, start=1)
        ]
        self.report(self.servers)

    # ---- questions

    def ask(self, method: str, **args: Any) -> dict[str, Any]:
        for server in self.servers:
            server.check()
        return self.client.ask(MASTER, method, args, patience=PATIENCE)

    def begin(self, method: str, **args: Any) -> Call:
        """The same, under way in a thread, from a client of its own."""
        return Call(
            lambda: self.client.ask(MASTER, method, args, patience=PATIENCE),
            f"{method} {args}",
            self.cluster,
            actor=True,
        )

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

    def chunk(self, path: str) -> int:
        """Create a file with one chunk; its handle."""
        self.ask("create", path=path)
        return int(self.ask("allocate", path=path, index=0)["handle"])

    def names(self, path: str = "/") -> list[str]:
        return list(self.ask("list", path=path)["paths"])

    def replicas(self, path: str, index: int = 0) -> list[str]:
        return sorted(self.ask("lookup", path=path, index=index)["replicas"])

    def server(self, name: str) -> StubChunkserver:
        return next(server for server in self.servers if server.name == name)

    # ---- time

    def report(self, servers: Sequence[StubChunkserver]) -> None:
        for server in servers:
            server.register()
            server.heartbeat()

    def pass_time(self, seconds: float, servers: Sequence[StubChunkserver], *, keep: bool = True) -> None:
        """Time passes while these servers, and no others, go on reporting; never while somebody is at work."""
        end = self.cluster.now() + seconds
        while self.cluster.now() < end:
            self.cluster.await_quiet()
            self.cluster.advance(min(STEP, seconds))
            for server in servers:
                server.heartbeat(keep=keep)

    def patiently(self, method: str, servers: Sequence[StubChunkserver], **args: Any) -> dict[str, Any]:
        """Ask again while the master says that it cannot yet."""
        for _ in range(40):
            try:
                return self.answered(method, servers, **args).result()
            except RemoteError as error:
                if error.code != "no_replica":
                    raise
                self.pass_time(STEP, servers)
        raise LabFailure(
            f"{method} {args}: no_replica for 160 virtual seconds with {len(servers)} servers alive"
        )

    def next_lease(self, servers: Sequence[StubChunkserver], handle: int, version: int) -> dict[str, Any]:
        """The lease that follows one of `version`; its own has to be higher."""
        new = self.patiently("lease", servers, handle=handle)
        expect(
            new["version"] > version,
            "the lease that follows has no higher version",
            expected=f"more than {version}",
            seen=str(new),
        )
        return new

    def answered(
        self, method: str, servers: Sequence[StubChunkserver], *, keep: bool = True, **args: Any
    ) -> Call:
        """Ask, and let time pass while the master waits for one that is away."""
        call = self.begin(method, **args)
        while not self.cluster.await_quiet(lambda: call.done):
            self.pass_time(1.0, servers, keep=keep)
        return call

    def eventually(
        self, condition: Callable[[], bool], what: str, servers: Sequence[StubChunkserver] | None = None
    ) -> None:
        """Time passes, a second at once, until `condition()`; LabFailure that `what` did not happen."""
        end = self.cluster.now() + LONGEST
        while not condition():
            if self.cluster.now() > end:
                raise LabFailure(f"{what} did not happen, however much time passed")
            self.pass_time(1.0, self.servers if servers is None else servers)

    def checkpoint(self) -> None:
        """Names change until the master makes a checkpoint; for a small `log_limit`. One directory is there more."""
        names = [f"/{letter * 1000}" for letter in "yz"]
        before = len(self.cluster.operations(MASTER))
        self.ask("mkdir", path=names[0])
        for _ in range(SMALL["log_limit"] // 500):
            self.ask("rename", source=names[0], target=names[1])
            names.reverse()
        self.cluster.until(
            lambda: any(
                one["what"] in ("replace", "remove") for one in self.cluster.operations(MASTER)[before:]
            ),
            "a checkpoint: a file of the disk that is renamed or removed,",
        )

    def restart(self) -> None:
        self.cluster.restart(MASTER)
        self.report(self.servers)

    def nobody_else(
        self,
        lease: Callable[[], dict[str, Any]],
        primary: StubChunkserver,
        left: Callable[[], float],
        *,
        seen: str,
        why: str,
    ) -> None:
        """Ask for a `lease`: refused, or that of `primary`, as long as seconds of it are `left`."""
        try:
            other = lease()
        except RemoteError as error:
            expect(error.code == "no_replica", "lease was refused for another reason", seen=str(error))
            return
        seconds = left()
        expect(
            seconds <= 0 or other["primary"] == primary.name,
            "two primaries at once",
            expected=f"nobody but {primary.name} before its lease is over, in {seconds:.1f} s",
            seen=f"{other}{seen}",
            why=why,
        )

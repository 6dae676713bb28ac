"""A whole GFS on a Cluster: master, chunkservers, clients; faults, time, and the verdict at the end.

gfs = Gfs(cluster, clients=2)
gfs.start("/log")
first = gfs.workload.append("c1", "/log")
gfs.finish(first)                      # lets virtual time pass until it is done
gfs.settle()                           # everything healed, the master has heard from every server
gfs.judge("/log")                      # LabFailure with the witness unless the guarantees held
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any, cast

from harness.checker import check, explain
from harness.checker.verdict import Verdict
from harness.cluster import Cluster
from harness.failures import LabFailure
from harness.history import Event, Fault, History, Meta
from harness.network.frame import REPLY, REQUEST, Frame
from harness.truth import MASTER, Truth
from harness.wire import replicas_seen
from harness.workload import Operation, Workload
from labkit import Limits

CHUNK_SIZE = 4096  # small, so that a few records fill one
BLOCK_SIZE = 512

STEP = 4.0  # virtual seconds; several heartbeats fit between two that would make a server count as dead
LEASED = "leased reads"
BUSY_AGAIN = 1.0  # seconds of patience between two jumps for nodes that never rest
LONGEST = 600.0  # virtual seconds a healed cluster may take to make progress again
DUMPS = 8  # of a file whose replicas the master is moving or making anew, until one finds it at rest


class Gfs:
    """`chunkservers` and `clients` are how many, named cs1… and c1…; `chunkserver` is the program of the former.

    `strict`: measures of lab 4 part E; LEASED is the clients', the others the chunkservers'. `patience`: seconds after which clients give up; None: theirs.
    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        chunkservers: int = 3,
        clients: int = 2,
        chunkserver: str = "chunkserver",
        strict: Collection[str] = (),
        patience: float | None = None,
    ) -> None:
        self.cluster = cluster
        self.chunkservers = [f"cs{number}" for number in range(1, chunkservers + 1)]
        self.clients = [f"c{number}" for number in range(1, clients + 1)]
        cluster.limits.setdefault("chunk_size", CHUNK_SIZE)
        cluster.limits.setdefault("block_size", BLOCK_SIZE)
        self.limits = Limits.from_config(cluster.limits)
        self.workload = Workload(cluster)
        self.truth = Truth(cluster, self.limits)
        self.history: History | None = None
        self.stride = STEP  # virtual seconds of one jump
        self._faults: list[Fault] = []
        measures = sorted(set(strict) - {LEASED})
        if measures:
            chunkserver = "strict chunkserver"
        cluster.add(MASTER, "master")
        for name in self.chunkservers:
            cluster.add(name, chunkserver, {"master": MASTER} | ({"measures": measures} if measures else {}))
        for name in self.clients:
            config: dict[str, Any] = {"master": MASTER, "leased": LEASED in strict}
            cluster.add(name, "client", config | ({} if patience is None else {"patience": patience}))

    # ---- a run

    def start(self, *paths: str) -> None:
        """Start all nodes and create files."""
        # The master first: a server that did not find it would wait before it asks again.
        self.cluster.start(MASTER)
        self.cluster.start(*(name for name in self.cluster.nodes if name != MASTER))
        self._await_heartbeats(self.cluster.now() - self.limits.heartbeat)
        for path in paths:
            self.cluster.call(self.clients[0], "create", path=path)

    def begin(self, path: str) -> tuple[str, list[str]]:
        """Start with one record in `path`; its primary, and its secondaries.

        In real time, from here on: a busy machine must not make a server count as dead. The record is appended in no
        time at all: whatever the machine does meanwhile, no RPC may time out and leave the chunk with fewer replicas.
        """
        self.cluster.set_rate(1.0)
        self.start(path)
        self.cluster.set_rate(0.0)
        first = self.workload.append(self.clients[0], path)
        self.finish(first)
        self.cluster.set_rate(1.0)
        applies = self.cluster.network.frames("apply", "request")
        secondaries = sorted({frame.receiver for frame in applies})
        wanted = min(self.limits.replicas, len(self.chunkservers)) - 1
        if not first.acknowledged or len(secondaries) != wanted:
            raise LabFailure(
                "an append without any fault has to reach all replicas and be acknowledged",
                expected=f"a mutation (apply) to {wanted} secondaries, then an offset",
                seen=f"acknowledged: {first.acknowledged}; apply went to {', '.join(secondaries) or 'nobody'}",
            )
        return applies[0].sender, secondaries

    def note(self, what: str) -> None:
        """Say what was done to the cluster, for the explanation."""
        self._faults.append(Fault(self.cluster.now(), what))

    def crash(self, name: str, why: str = "") -> None:
        self.note(f"crash {name}" + (f" {why}" if why else ""))
        self.cluster.crash(name)

    def finish(self, *operations: Operation) -> None:
        """Let virtual time pass until the operations are done; LabFailure if that takes more than LONGEST."""
        deadline = self.cluster.now() + LONGEST
        while not self.step(*operations):
            if self.cluster.now() > deadline:
                stuck = [str(one) for one in operations if not one.done.is_set()]
                raise LabFailure(
                    f"no progress within {LONGEST:g} virtual seconds",
                    seen="still under way: " + "; ".join(stuck),
                    why="it asks without an end, waits for what never comes, or waits by another clock than ctx.clock",
                )

    def step(self, *operations: Operation) -> bool:
        """Wait until nothing happens any more but through time; then, unless the operations are done, let some pass.
        Whether they are done."""
        self._await_quiet(operations)
        self.workload.raise_failures()
        done = all(one.done.is_set() for one in operations)
        if not done:
            self.cluster.advance(self.stride)
        return done

    def pass_time(self, seconds: float) -> None:
        """Let `seconds` pass in steps short enough that no living server counts as dead."""
        end = self.cluster.now() + seconds
        self._await_quiet(())
        while (left := end - self.cluster.now()) > 0:
            self.cluster.advance(min(self.stride, left))
            self._await_quiet(())

    def pass_until(self, condition: Callable[[], bool], what: str) -> None:
        """Let virtual time pass until `condition()`; LabFailure if that takes more than LONGEST."""
        end = self.cluster.now() + LONGEST
        self._await_quiet(())
        while not condition():
            self.workload.raise_failures()
            if self.cluster.now() > end:
                raise LabFailure(f"{what} did not happen within {LONGEST:g} virtual seconds")
            self.pass_time(STEP / 2)

    def roles(self) -> dict[str, str]:
        """Who was "primary", and who "secondary1" and "secondary2", in the latest mutation, as the wire saw it."""
        applies = self.cluster.network.frames("apply", REQUEST)
        if not applies:
            raise LabFailure("no primary ever asked a secondary to apply a mutation")
        primary = applies[-1].sender
        latest = [frame for frame in applies if _version(frame) == _version(applies[-1])]
        secondaries = sorted({frame.receiver for frame in latest if frame.sender == primary})
        return {"primary": primary, **{f"secondary{n}": name for n, name in enumerate(secondaries, 1)}}

    def attempts(self, client: str) -> int:
        """How many different append requests a client has sent, transmissions of one counted once."""
        return len({frame.xid for frame in self.cluster.network.frames("append", REQUEST, sender=client)})

    def settle(self) -> None:
        """Heal the network, and `recover`. Who is down stays down."""
        self.cluster.network.heal()
        self.note("all faults healed")
        self.recover()

    def recover(self) -> None:
        """Wait until the master has heard from every living server, and has given up every other."""
        begun = self.cluster.now()
        self.pass_time(self.limits.dead_after + self.limits.heartbeat)
        self._await_heartbeats(begun)

    # ---- the verdict

    def judge(self, *paths: str) -> Verdict:
        """A last append and scan per file must succeed; then check the history. Returns the verdict if it is valid."""
        last = [self.workload.append(self.clients[-1], path) for path in paths]
        self.finish(*last)
        for operation, path in zip(last, paths, strict=True):
            if not operation.acknowledged:
                raise LabFailure(
                    f"an append to {path} failed although every fault was healed",
                    seen=operation.refused or None,
                    why="the cluster has to make progress again once nothing is wrong any more",
                )
        scans = [self.workload.scan(self.clients[0], path) for path in paths]
        self.finish(*scans)
        history = self.history = self.collect(paths)
        verdict = check(history)
        if not verdict.valid:
            raise LabFailure(
                "the append guarantee does not hold",
                expected="every acknowledged record at its offset on every current replica, in one order, seen by every "
                "reader that opens the file afterwards",
                seen=", ".join(dict.fromkeys(one.name.value for one in verdict.anomalies))
                or "; ".join(verdict.reasons),
                witness=explain(verdict, history),
            )
        return verdict

    def collect(self, paths: Iterable[str]) -> History:
        """The history so far with the final truth of these files, read over the wire.

        Of leases and secondaries it tells only if the journal has everything: one lease unseen could mislead.
        """
        meta = Meta(
            seed=0,
            chunk_size=self.limits.chunk_size,
            record_limit=self.limits.record_limit,
            replicas=self.limits.replicas,
            cache_lifetime=self.limits.location_cache,
        )
        events: list[Event] = [*self.workload.events(), *self._faults]
        network = self.cluster.network
        if network.complete:
            events += replicas_seen(network.journal)
        for path in paths:
            events += self._dump(path)
        return History.of(meta, events)

    def _dump(self, path: str) -> list[Event]:
        """The chunks of a file and their replicas, all of one moment: a master that lets a replica join or leave raises
        the chunk's version, and a replica read then is not one of those it told of. What never rests is taken as it is.
        """
        events: list[Event] = []
        for _ in range(DUMPS):
            chunks = self.truth.chunks(path)
            dumped = [
                (chunk, [self.truth.replica(chunk, name) for name in chunk.replicas]) for chunk in chunks
            ]
            events = [one for chunk, found in dumped for one in (chunk, *found) if one is not None]
            if self.truth.chunks(path) == chunks:
                break
            self.pass_time(STEP / 4)
        return events

    # ---- time

    def _await_quiet(self, operations: Collection[Operation]) -> None:
        """Return when nothing happens any more but through time, or the operations are done."""

        def over() -> bool:
            return bool(operations) and all(one.done.is_set() for one in operations)

        self.cluster.await_quiet(over, BUSY_AGAIN)
        for one in operations:
            if one.answered:
                one.done.wait()

    def _await_heartbeats(self, since: float) -> None:
        """Wait until every living chunkserver has had an answer from the master to something it said after `since`."""
        living = {name for name in self.chunkservers if self.cluster.nodes[name].alive}

        def heard() -> bool:
            answered = {
                frame.receiver
                for method in ("register", "heartbeat")
                for frame in self.cluster.network.frames(method, REPLY)
                if frame.time > since and not frame.failed
            }
            return living <= answered

        self.pass_until(heard, f"heartbeats between {', '.join(sorted(living))} and the master")


def _version(frame: Frame) -> Any:
    args: Any = frame.header.get("args")
    return cast(dict[Any, Any], args).get("version") if isinstance(args, dict) else None

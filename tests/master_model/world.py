"""Lab 2's reference against a model of everything around it: crashes, lost and late messages, skewed clocks.

The master's own modules run, all but the sockets. A seed decides what happens, also in the middle of the master's calls,
since no lock is held there. What must hold whatever happens is asserted in `World`; each assertion says which promise was
broken.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from labkit import Context, errors
from tests.master_model.models import (
    FILE,
    LIMITS,
    NAMES,
    Crash,
    ManualClock,
    ModelCalls,
    ModelServer,
    PowerDisk,
)


class World:
    """A master, its chunkservers, and everything that was ever promised."""

    def __init__(self, lab: SimpleNamespace, seed: int = 0, *, calm: bool = False) -> None:
        self.lab = lab
        self.rng = random.Random(seed)
        self.clock = ManualClock()
        self.calm = calm
        # Not every world has every trouble: too many of them, and nothing interesting comes about.
        self.failing, self.lateness = self.rng.choice([0.0, 0.05, 0.25]), self.rng.choice([0.0, 0.3])
        self.cuts, self.crashes = self.rng.choice([0, 1, 2]), self.rng.choice([0, 1])
        self.restarts = self.rng.choice([0.0, 0.05, 0.1])
        self.crash_in = 0  # the master crashes at this many-th point from now; 0: never
        self.points = 0
        self.depth = 0
        self.asking = 0
        self.disk = PowerDisk(self.crash_point)
        self.servers = {name: ModelServer(self, name, self.rng.uniform(-500, 500)) for name in NAMES}
        self.late: list[tuple[ModelServer, Callable[[], None]]] = []
        self.acknowledged: dict[int, set[int]] = {}
        self.mutations = 0
        self.granted: set[tuple[int, int]] = set()
        self.told: dict[int, int] = {}
        self.chunks = 0
        self.frozen: set[int] = set()  # chunks that were in a snapshot
        self.seen: Counter[str] = Counter()
        self.start_master()
        for name in NAMES:
            self.beat(self.servers[name])
        with self.metadata.section():
            self.metadata.record(lab.operations.CreateFile(FILE))

    # ---- the master

    def start_master(self) -> None:
        self.crash_in = 0
        self.late = [(server, run) for server, run in self.late if self.rng.random() < 0.7]
        context: Any = Context(
            "master",
            {},
            self.clock,
            self.disk,
            None,
            random.Random(self.rng.random()),
            LIMITS,  # pyright: ignore
        )
        lab, calls = self.lab, ModelCalls(self)
        self.metadata = lab.metadata.Metadata(context)
        locks = lab.locks.PathLocks()
        self.creation = lab.creation.Creation(context, self.metadata, calls, locks)
        self.granting = lab.granting.Granting(context, self.metadata, calls)
        self.snapshots = lab.snapshot.Snapshots(self.metadata, self.granting, locks)
        self.heartbeats = lab.heartbeats.Heartbeats(context, self.metadata, self.granting)

    def crash_point(self) -> None:
        self.points += 1
        if self.crash_in:
            self.crash_in -= 1
            if self.crash_in == 0:
                self.disk.dead = True
                raise Crash

    def ask(self, call: Callable[[], Any]) -> Any:
        """What the master answers; None when it says no, or crashes, and has started again then."""
        self.asking += 1
        try:
            return call()
        except errors.NoReplica:
            self.seen["no"] += 1
            return None
        except (Crash, self.lab.oplog.LogBroken):
            if self.asking > 1:
                raise Crash from None  # the calls around this one die with it
            self.seen["crash"] += 1
            self.depth = 0
            self.disk.crash(lambda size: self.rng.randint(0, size))
            self.start_master()
            return None
        finally:
            self.asking -= 1

    # ---- what happens

    def fate(self) -> str:
        if self.calm or self.rng.random() >= self.failing:
            return "fine"
        return self.rng.choice(["request lost", "request late", "answer lost"])

    def meanwhile(self) -> None:
        """During a call of the master's something else may happen, once."""
        self.crash_point()
        if self.calm or self.depth or self.rng.random() < 0.7:
            return
        self.depth += 1
        self.rng.choice([self.some_beat, self.write, self.deliver_late, self.pass_time])()
        self.depth -= 1

    def step(self) -> None:
        if self.rng.random() < self.restarts:
            self.crash_in = self.rng.randint(1, 30)
        actions = [self.some_beat] * 4 + [self.all_beat] * 2 + [self.write] * 3 + [self.ask_lease] * 4
        actions += [self.pass_time] * 3 + [self.look] * 2 + [self.deliver_late, self.allocate, self.jump]
        actions += [self.checkpoint, self.regroup, self.regroup]
        if self.rng.random() < 0.1:
            actions += [self.snapshot] * 2
        actions += [self.some_cut] * self.cuts + [self.some_crash] * self.crashes
        self.rng.choice(actions)()
        self.check()

    def all_beat(self) -> None:
        for server in self.servers.values():
            server.up = True
            self.beat(server)

    def pass_time(self) -> None:
        self.let_pass(self.rng.choice([0.5, 2, 5, 10, 22]))

    def let_pass(self, seconds: float) -> None:
        """The master looks at its clock often enough to believe it."""
        while seconds > 0:
            self.clock.time += min(seconds, 5)
            seconds -= 5
            with self.metadata.section():
                pass

    def jump(self) -> None:
        """The master's clock is set, or the master was suspended; then it looks."""
        self.seen["jump"] += 1
        if self.rng.random() < 0.5:
            self.clock.jumped += self.rng.choice([30, 100, 1e5, -5])
        else:
            self.clock.time += 30

    def some_beat(self) -> None:
        server = self.servers[self.rng.choice(NAMES)]
        if not server.up:
            server.up = self.rng.random() < 0.5
        else:
            self.beat(server)

    def beat(self, server: ModelServer) -> None:
        """A heartbeat now, or composed now and sent late."""
        report = server.report()
        if not self.calm and self.rng.random() < self.lateness:
            self.late.append((server, lambda: self.hear(server, report)))
            if self.rng.random() < 0.5:  # late, or twice
                return
        if not server.cut:
            self.hear(server, report)

    def hear(self, server: ModelServer, report: dict[str, Any]) -> None:
        reply = self.ask(lambda: self.heartbeats.heartbeat(**report))
        if reply is None or (not self.calm and self.rng.random() < self.failing):
            return
        if reply["register"]:
            fresh = server.report()
            fields = {key: fresh[key] for key in ("name", "sent", "chunks", "used")}
            reply = self.ask(lambda: self.heartbeats.register(**fields, rack="r"))
        if reply is not None:
            for handle in reply["delete"]:
                self.delete(server, handle)
            for handle, until in reply.get("leases", []):
                server.renewed(handle, until)

    def delete(self, server: ModelServer, handle: int) -> None:
        dropped = server.replicas.pop(handle, None)
        acknowledged = self.acknowledged.get(handle)
        if dropped is not None and acknowledged is not None:
            self.seen["delete"] += 1
            left = [other.replicas.get(handle) for other in self.servers.values()]
            kept = [replica for replica in left if replica is not None and acknowledged <= replica.data]
            assert kept, f"lost chunk: {server.name} was told to drop the last good replica of {handle}"

    def deliver_late(self) -> None:
        if self.late:
            server, run = self.late.pop(self.rng.randrange(len(self.late)))
            if server.up and not server.cut:
                try:
                    run()
                except errors.RemoteError:
                    self.seen["late refused"] += 1

    def some_cut(self) -> None:
        server = self.servers[self.rng.choice(NAMES)]
        server.cut = not server.cut and self.rng.random() < 0.6

    def some_crash(self) -> None:
        server = self.servers[self.rng.choice(NAMES)]
        server.restart()
        self.late = [(other, run) for other, run in self.late if other is not server]

    def allocate(self) -> None:
        if self.depth == 0 and self.chunks < 2:
            reply = self.ask(lambda: self.creation.allocate(FILE, self.chunks))
            if reply is not None:
                assert reply["handle"] not in self.acknowledged, "a handle was used twice"
                self.acknowledged[reply["handle"]] = set()
                self.chunks += 1

    def checkpoint(self) -> None:
        if self.ask(lambda: (self.metadata.checkpoint(), "done")):
            self.seen["checkpoint"] += 1

    def regroup(self) -> None:
        """A clone joins, or a replica that is one too many leaves, as rereplication.py has it."""
        for handle in self.acknowledged:
            with self.metadata.section() as now:
                if not self.metadata.servers.have_had_time(now):
                    return
                holders = sorted(self.metadata.up_to_date(handle))
                free = sorted(self.metadata.servers.names() - set(holders))
            if len(holders) > LIMITS.replicas:
                change = {"leave": self.rng.choice(holders)}
            elif holders and free:
                clone = self.lab.granting.Clone(self.rng.choice(free), self.rng.choice(holders))
                change = {"clone": clone}
            else:
                continue
            if self.ask(
                lambda handle=handle, change=change: (self.granting.regroup(handle, **change), "done")
            ):
                self.seen["regroup"] += 1

    def snapshot(self) -> None:
        """The file's chunks are frozen; then it gets copies of its own."""
        before = self.file_chunks()
        copy = f"/copy{len(self.seen)}{self.seen['snapshot']}"
        self.ask(lambda: self.snapshots.snapshot(FILE, copy))
        with self.metadata.section():
            if copy not in self.metadata.state.namespace:
                return
        self.seen["snapshot"] += 1
        self.frozen |= set(before)
        for index in range(len(before)):
            reply = self.ask(lambda index=index: self.creation.allocate(FILE, index))
            if reply is not None:
                assert reply["handle"] not in self.acknowledged, "a handle was used twice"
                self.seen["copy"] += 1
        for shared, own in zip(before, self.file_chunks(), strict=True):
            # Whether or not it was answered: what is there now has all that was acknowledged.
            if own != shared and shared in self.acknowledged:
                self.acknowledged[own] = set(self.acknowledged[shared])

    def file_chunks(self) -> list[int]:
        with self.metadata.section():
            return list(self.metadata.state.namespace.file(FILE).chunks)

    def ask_lease(self) -> None:
        for handle in set(self.acknowledged) - self.frozen:
            if self.ask(lambda handle=handle: self.granting.lease(handle)) is not None:
                self.seen["lease"] += 1

    def look(self) -> None:
        if self.depth == 0:
            self.ask(self.heartbeats.find_dead)
            with self.metadata.section() as now:
                running = self.metadata.leases.all_running(now)
            for lease in running:
                if lease.standing is self.lab.leases.Standing.UNWANTED:
                    self.ask(lambda lease=lease: self.granting.revoke(lease))

    def write(self) -> None:
        """Every primary tries a mutation: acknowledged when all secondaries it was told of took it."""
        for name, handle in [(name, handle) for name in NAMES for handle in self.acknowledged]:
            if not self.servers[name].is_primary(handle):
                continue
            primary = self.servers[name].replicas[handle]
            self.mutations += 1
            primary.data.add(self.mutations)
            took = [self._apply(other, handle, primary.version) for other in primary.secondaries]
            if all(took):
                assert handle not in self.frozen, f"chunk {handle} was mutated after its snapshot"
                self.acknowledged[handle].add(self.mutations)
                self.seen["write"] += 1

    def _apply(self, name: str, handle: int, version: int) -> bool:
        server = self.servers[name]
        replica = server.replicas.get(handle)
        if not server.up or replica is None or replica.version != version or self.fate() != "fine":
            return False
        replica.data.add(self.mutations)
        return True

    # ---- what must hold

    def check_round(self, handle: int, version: int) -> None:
        assert version > self.told.get(handle, 1), f"version {version} of {handle} told twice"
        self.told[handle] = version

    def check_grant(self, handle: int, version: int) -> None:
        assert (handle, version) not in self.granted, f"version {version} of {handle} granted twice"
        self.granted.add((handle, version))

    def check(self) -> None:
        for handle, acknowledged in self.acknowledged.items():
            primaries = [name for name in NAMES if self.servers[name].is_primary(handle)]
            assert len(primaries) <= 1, f"two primaries of {handle}: {primaries}"
            with self.metadata.section():
                replicas = self.metadata.location(handle)["replicas"]
            for name in replicas:
                replica = self.servers[name].replicas.get(handle)
                if replica is not None:
                    assert acknowledged <= replica.data, f"{name}'s stale replica of {handle} handed out"

    def heal(self) -> None:
        """Everything works, and enough time passes: every chunk can be written again."""
        self.calm, self.crash_in, self.late = True, 0, []
        for _ in range(50):
            self.clock.time += 2.5
            for server in self.servers.values():
                server.up, server.cut = True, False
                self.beat(server)
            self.look()
            self.check()
        for handle in self.acknowledged.keys() & self.frozen:
            assert self.metadata.up_to_date(handle), f"no replica of the frozen chunk {handle} is left"
        for handle in self.acknowledged.keys() - self.frozen:
            acknowledged = self.acknowledged[handle]
            lease = self.granting.lease(handle)
            primary = self.servers[lease["primary"]].replicas[handle]
            assert primary.version == lease["version"]
            assert acknowledged <= primary.data, f"lost mutation of {handle}"
            before = len(acknowledged)
            self.write()
            assert len(acknowledged) == before + 1, f"chunk {handle} cannot be written any more"


def run(world: World, steps: int) -> None:
    for _ in range(steps):
        world.step()
    world.heal()

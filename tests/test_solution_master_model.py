"""Lab 2's reference against a model of everything around it: crashes, lost and late messages, skewed clocks.

The master's own modules run, all but the sockets; chunkservers are models that keep the rules of the
protocol. A seed decides what happens, also in the middle of the master's calls, since no lock is held there.
What must hold whatever happens is asserted in `World`; each assertion says which promise was broken.
"""

from __future__ import annotations

import importlib
import random
import threading
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from labkit import Context, Limits, errors
from labkit.clock import SystemClock

SOLUTIONS = Path(__file__).resolve().parent.parent / "solutions"
LIMITS = Limits()
NAMES = ("cs1", "cs2", "cs3", "cs4")
FILE = "/f"
EVENTS = ("crash", "lease", "write", "delete", "no", "jump", "checkpoint", "regroup", "snapshot", "copy")


@pytest.fixture(autouse=True)
def lab(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    for root in ("01_rpc", "02_gfs_master"):
        monkeypatch.syspath_prepend(str(SOLUTIONS / root))
    names = (
        "metadata",
        "creation",
        "granting",
        "heartbeats",
        "chunkservers",
        "operations",
        "leases",
        "oplog",
        "locks",
        "rereplication",
        "snapshot",
    )
    modules = {name: importlib.import_module(f"gfs_master.{name}") for name in names}
    # The model has one thread: what happens meanwhile is drawn.
    monkeypatch.setattr(modules["snapshot"], "in_parallel", lambda tasks: [task() for task in tasks])
    return SimpleNamespace(**modules)


class Crash(BaseException):
    """The master's power fails."""


class ManualClock(SystemClock):
    """`time` is the world's; the master's clock has `jumped` ahead of it."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.jumped = 0.0

    def now(self) -> float:
        return self.time + self.jumped


class PowerDisk:
    """Files in memory. Before and after every change of them the power may fail."""

    def __init__(self, may_crash: Callable[[], None]) -> None:
        self.files: dict[str, PowerFile] = {}
        self.may_crash = may_crash
        self.dead = False

    def power(self) -> None:
        """Once the power has failed nothing works any more."""
        if not self.dead:
            self.dead = True
            self.may_crash()
            self.dead = False
            return
        raise Crash

    def crash(self, survives: Callable[[int], int]) -> None:
        """Of what was not synced, `survives(bytes)` bytes are there."""
        for file in self.files.values():
            file.crash(survives)
        self.dead = False

    def open(self, name: str, *, create: bool = False) -> PowerFile:
        if name not in self.files:
            assert create
            self.power()
            self.files[name] = PowerFile(self)
            self.power()
        return self.files[name]

    def exists(self, name: str) -> bool:
        return name in self.files

    def list(self) -> list[str]:
        return sorted(self.files)

    def remove(self, name: str) -> None:
        self.power()
        del self.files[name]
        self.power()

    def replace(self, source: str, target: str) -> None:
        self.power()
        self.files[target] = self.files.pop(source)
        self.power()


class PowerFile:
    def __init__(self, disk: PowerDisk) -> None:
        self.disk = disk
        self.durable = b""
        self.seen = bytearray()

    def crash(self, survives: Callable[[int], int]) -> None:
        assert self.seen[: len(self.durable)] == self.durable
        self.seen = self.seen[: len(self.durable) + survives(len(self.seen) - len(self.durable))]
        self.durable = bytes(self.seen)

    def close(self) -> None:
        pass

    def size(self) -> int:
        return len(self.seen)

    def pread(self, offset: int, length: int) -> bytes:
        return bytes(self.seen[offset : offset + length])

    def pwrite(self, offset: int, data: bytes) -> None:
        self.disk.power()
        self.seen[offset : offset + len(data)] = data
        self.disk.power()

    def truncate(self, size: int) -> None:
        del self.seen[size:]
        self.durable = self.durable[:size]

    def sync(self) -> None:
        self.disk.power()
        self.durable = bytes(self.seen)
        self.disk.power()


@dataclass
class Replica:
    version: int
    data: set[int] = field(default_factory=set)
    until: float = float("-inf")  # of the lease, on the server's clock
    secondaries: tuple[str, ...] = ()
    revoked: int = 0


class ModelServer:
    """A chunkserver that keeps the protocol's rules. Its clock is the world's plus a skew."""

    def __init__(self, world: World, name: str, skew: float) -> None:
        self.world, self.name, self.skew = world, name, skew
        self.up = True
        self.messages = 0
        self.cut = False  # off from the master, not from the other servers
        self.replicas: dict[int, Replica] = {}

    def now(self) -> float:
        return self.world.clock.time + self.skew

    def restart(self) -> None:
        self.up = False
        for replica in self.replicas.values():
            replica.until, replica.revoked = float("-inf"), 0

    def is_primary(self, handle: int) -> bool:
        replica = self.replicas.get(handle)
        return self.up and replica is not None and self.now() < replica.until

    def report(self) -> dict[str, Any]:
        self.messages += 1
        return {
            "name": self.name,
            "sent": self.now() - 0.1 + self.messages * 1e-6,  # no two at the same moment
            "chunks": {handle: replica.version for handle, replica in self.replicas.items()},
            "damaged": [],
            "leases": [(h, replica.version) for h, replica in self.replicas.items() if self.is_primary(h)],
            "used": 0,
        }

    def renewed(self, handle: int, until: float) -> None:
        if self.is_primary(handle):
            self.replicas[handle].until = max(self.replicas[handle].until, until)

    # ---- the master's calls; each may come late, or twice

    def create_chunk(self, handle: int, version: int) -> None:
        if self.replicas.setdefault(handle, Replica(version)).version != version:
            raise errors.StaleVersion

    def advance_version(self, handle: int, previous: int, version: int) -> None:
        replica = self._replica(handle)
        if not previous <= replica.version <= version:
            raise errors.StaleVersion
        if replica.version < version:
            replica.version, replica.until = version, float("-inf")

    def grant_lease(self, handle: int, version: int, until: float, secondaries: Collection[str]) -> None:
        replica = self._replica(handle)
        if replica.version != version or replica.revoked >= version:
            raise errors.StaleVersion
        replica.until, replica.secondaries = until, tuple(secondaries)

    def revoke_lease(self, handle: int, version: int) -> None:
        replica = self._replica(handle)
        replica.revoked = max(replica.revoked, version)
        if replica.version == version:
            replica.until = float("-inf")

    def clone_chunk(self, handle: int, version: int, source: str) -> None:
        mine = self.replicas.get(handle)
        if mine is not None and mine.version >= version:
            if mine.version > version:
                raise errors.StaleVersion
            return
        original = self.world.servers[source].replicas.get(handle)
        if not self.world.servers[source].up or original is None or original.version != version:
            raise errors.StaleVersion
        self.replicas[handle] = Replica(version, set(original.data))

    def copy_chunk(self, handle: int, version: int, copy: int) -> None:
        replica = self._replica(handle)
        if replica.version != version:
            raise errors.StaleVersion
        self.replicas.setdefault(copy, Replica(1, set(replica.data)))

    def _replica(self, handle: int) -> Replica:
        if handle not in self.replicas:
            raise errors.NoSuchChunk
        return self.replicas[handle]


class ModelCalls:
    """In place of gfs_master.chunkservers.Chunkservers: calls arrive, get lost, come late; so do answers."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._answer = world.lab.chunkservers.Answer

    def create_chunk(self, servers: Collection[str], handle: int, version: int) -> Any:
        return self._all(servers, "create_chunk", handle, version)

    def advance_version(self, servers: Collection[str], handle: int, previous: int, version: int) -> Any:
        self._world.check_round(handle, version)
        return self._all(servers, "advance_version", handle, previous, version)

    def grant_lease(self, server: str, handle: int, version: int, until: float, others: Any) -> Any:
        self._world.check_grant(handle, version)
        return self._one(server, "grant_lease", handle, version, until, others)

    def revoke_lease(self, server: str, handle: int, version: int) -> Any:
        return self._one(server, "revoke_lease", handle, version)

    def clone_chunk(self, server: str, handle: int, version: int, source: str, *, final: bool) -> Any:
        assert final, "a round clones what is left"
        return self._one(server, "clone_chunk", handle, version, source)

    def copy_chunk(self, versions: dict[str, int], handle: int, copy: int) -> Any:
        answers = {
            server: self._one(server, "copy_chunk", handle, version, copy)
            for server, version in sorted(versions.items())
        }
        return self._world.lab.chunkservers.Answers(answers)

    def _all(self, servers: Collection[str], method: str, *args: Any) -> Any:
        answers = {server: self._one(server, method, *args) for server in sorted(servers)}
        return self._world.lab.chunkservers.Answers(answers)

    def _one(self, name: str, method: str, *args: Any) -> Any:
        world, server = self._world, self._world.servers[name]
        world.meanwhile()
        if not server.up or server.cut:
            return self._answer.REFUSED
        fate = world.fate()
        if fate == "request lost":
            return self._answer.UNKNOWN
        if fate == "request late":
            world.late.append((server, lambda: getattr(server, method)(*args)))
            return self._answer.UNKNOWN
        try:
            getattr(server, method)(*args)
        except errors.NoSuchChunk:
            answer = self._answer.NO_REPLICA
        except errors.StaleVersion:
            answer = self._answer.REFUSED
        else:
            answer = self._answer.CONFIRMED
        world.meanwhile()
        return self._answer.UNKNOWN if fate == "answer lost" else answer


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


def test_random_worlds_keep_every_promise(lab: SimpleNamespace) -> None:
    seen: Counter[str] = Counter()
    for seed in range(150):
        world = World(lab, seed)
        try:
            run(world, 120)
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error}") from error
        seen += world.seen
    # A model in which nothing happens would promise everything.
    assert all(seen[what] >= 40 for what in EVENTS), seen
    assert seen["late refused"], seen


def test_master_crashing_at_every_point_of_a_lease_loses_no_replica(lab: SimpleNamespace) -> None:
    def prepare() -> World:
        world = World(lab, calm=True)
        for server in world.servers.values():
            server.up = True
            world.beat(server)
            world.beat(server)
        world.allocate()
        return world

    def act(world: World) -> None:
        world.ask_lease()
        world.write()
        world.let_pass(LIMITS.lease + 1)
        for server in world.servers.values():
            world.beat(server)
        world.ask_lease()

    clean = prepare()
    before = clean.points
    act(clean)
    points = clean.points - before
    assert points > 20
    for point in range(1, points + 1):
        world = prepare()
        world.crash_in = point
        act(world)
        assert world.seen["crash"] == 1, point
        world.heal()
        (handle,) = world.acknowledged
        assert len(world.metadata.up_to_date(handle)) == LIMITS.replicas, (
            f"a replica was lost at point {point}"
        )


def test_lost_answers_at_every_call_leave_one_truth(lab: SimpleNamespace) -> None:
    """Every single call of a grant, lost on the way there or back, crossed with a master crash or none."""
    for fault in ("request lost", "request late", "answer lost"):
        for call in range(8):
            for crash in (False, True):
                world = World(lab, calm=True)
                for server in [*world.servers.values()] * 2:
                    world.beat(server)
                world.allocate()
                calls = iter(range(100))
                world.fate = lambda calls=calls, call=call, fault=fault: (
                    fault if next(calls) == call else "fine"
                )  # type: ignore[method-assign]
                world.ask_lease()
                world.fate = lambda: "fine"  # type: ignore[method-assign]
                if crash:
                    world.start_master()
                world.check()
                world.write()
                for _, late in world.late:
                    try:
                        late()
                    except errors.RemoteError:
                        world.seen["late refused"] += 1
                world.check()
                world.heal()


# ---- single stories, told with the same model


@pytest.fixture
def calm(lab: SimpleNamespace) -> World:
    """A world without trouble: four servers alive, one chunk, its lease granted."""
    world = World(lab, calm=True)
    for server in [*world.servers.values()] * 2:
        world.beat(server)
    world.allocate()
    world.ask_lease()
    assert world.seen["lease"] == 1
    return world


def the_lease(world: World) -> Any:
    """The answer of the master when asked for the chunk's lease; None when it says to come again."""
    (handle,) = world.acknowledged
    return world.ask(lambda: world.granting.lease(handle))


def live(world: World, seconds: float) -> None:
    """All servers beat, and the master looks, once a second."""
    for _ in range(int(seconds)):
        world.clock.time += 1
        for server in world.servers.values():
            if server.up:
                world.beat(server)
        world.look()
        world.check()


def test_a_claimed_lease_outlives_the_master(calm: World) -> None:
    held = the_lease(calm)
    calm.start_master()
    live(calm, 3)
    assert the_lease(calm) == held


def test_a_primary_that_is_cut_off_keeps_its_lease_to_the_end_across_a_restart(calm: World) -> None:
    primary = the_lease(calm)["primary"]
    calm.servers[primary].cut = True
    calm.start_master()
    live(calm, LIMITS.lease - 2)
    assert the_lease(calm) is None
    assert calm.seen["no"] == 1
    live(calm, 3)
    assert the_lease(calm)["primary"] != primary


def test_a_restarted_primary_gives_its_lease_back_at_once(calm: World) -> None:
    held = the_lease(calm)
    server = calm.servers[held["primary"]]
    server.restart()
    server.up = True
    calm.clock.time += 1
    report = server.report()
    calm.heartbeats.register(server.name, report["sent"], report["chunks"], 0, "r")
    again = the_lease(calm)
    assert again["version"] > held["version"]
    assert {again["primary"], *again["secondaries"]} == {held["primary"], *held["secondaries"]}


def test_registering_again_without_a_restart_costs_no_lease_that_is_claimed(calm: World) -> None:
    held = the_lease(calm)
    server = calm.servers[held["primary"]]
    calm.clock.time += 1
    report = server.report()
    calm.heartbeats.register(server.name, report["sent"], report["chunks"], 0, "r")
    calm.clock.time += 1
    calm.beat(server)
    assert the_lease(calm) == held


def test_a_replaced_secondary_costs_the_primary_its_lease_and_nobody_the_chunk(calm: World) -> None:
    held = the_lease(calm)
    lost = calm.servers[held["secondaries"][0]]
    lost.restart()
    lost.replicas.clear()
    lost.up = True
    calm.clock.time += 1
    calm.heartbeats.register(lost.name, lost.now(), {}, 0, "r")
    live(calm, 1)
    again = the_lease(calm)
    assert again["version"] > held["version"]
    assert {again["primary"], *again["secondaries"]} == {held["primary"], *held["secondaries"]} - {lost.name}


def test_a_dead_secondary_is_left_out_and_its_replica_is_stale_when_it_returns(calm: World) -> None:
    held = the_lease(calm)
    (handle,) = calm.acknowledged
    gone = calm.servers[held["secondaries"][0]]
    gone.restart()
    live(calm, LIMITS.dead_after + 2)
    again = the_lease(calm)
    assert gone.name not in (again["primary"], *again["secondaries"])
    calm.write()
    live(calm, 2)
    gone.up = True
    live(calm, 2)
    assert handle not in gone.replicas, "the stale replica was not collected"
    assert gone.name not in calm.metadata.location(handle)["replicas"]


def test_a_member_that_was_away_while_nothing_was_granted_is_a_member_still(calm: World) -> None:
    held = the_lease(calm)
    gone = calm.servers[held["secondaries"][0]]
    gone.restart()
    live(calm, 10)
    gone.up = True
    live(calm, 2)
    assert the_lease(calm) == held


def test_a_dead_primary_is_not_handed_out_and_not_replaced_before_its_lease_ends(calm: World) -> None:
    held = the_lease(calm)
    calm.servers[held["primary"]].cut = True
    live(calm, LIMITS.dead_after + 2)
    assert the_lease(calm) is None
    live(calm, LIMITS.lease - LIMITS.dead_after - 4)
    assert the_lease(calm) is None
    live(calm, 4)
    assert the_lease(calm)["primary"] != held["primary"]


def test_a_grant_whose_answer_is_lost_may_have_been_taken(lab: SimpleNamespace) -> None:
    world = World(lab, calm=True)
    for server in [*world.servers.values()] * 2:
        world.beat(server)
    world.allocate()
    fates = iter(["fine", "fine", "fine", "answer lost"])
    world.fate = lambda: next(fates, "fine")  # type: ignore[method-assign]
    assert the_lease(world) is None
    (handle,) = world.acknowledged
    (primary,) = [server for server in world.servers.values() if server.is_primary(handle)]
    primary.cut = True
    assert the_lease(world) is None
    live(world, LIMITS.lease - 2)
    assert the_lease(world) is None
    live(world, 3)
    assert the_lease(world)["primary"] != primary.name


def test_after_a_restart_no_lease_leaves_out_a_replica_that_had_no_time_to_report(calm: World) -> None:
    live(calm, LIMITS.lease / 2)
    members = {the_lease(calm)["primary"], *the_lease(calm)["secondaries"]}
    for server in calm.servers.values():
        server.restart()
    calm.start_master()
    first, *others = (calm.servers[name] for name in sorted(members))
    calm.clock.time += LIMITS.lease + 1  # suspended, as far as the master can tell
    first.up = True
    for _ in range(2):
        calm.clock.time += 0.1
        calm.beat(first)
    assert the_lease(calm) is None
    for server in others:
        server.up = True
    live(calm, 3)
    assert {the_lease(calm)["primary"], *the_lease(calm)["secondaries"]} == members


def test_a_jump_of_the_clock_kills_nobody_and_costs_no_replica(calm: World) -> None:
    held = the_lease(calm)
    members = {held["primary"], *held["secondaries"]}
    calm.let_pass(LIMITS.lease + 1)
    calm.look()
    assert the_lease(calm) is None, "no primary can be chosen on the word of a heartbeat that old"
    for name in NAMES:
        calm.beat(calm.servers[name])
    held = the_lease(calm)
    assert {held["primary"], *held["secondaries"]} == members
    for jump in (LIMITS.lease + 1, 1e6, -100):
        calm.clock.jumped += jump
        calm.look()
        assert set(calm.metadata.servers.names()) == set(NAMES)
        assert the_lease(calm) == held, "the primary may have it still"
    calm.servers[held["primary"]].cut = True
    live(calm, LIMITS.lease - 1)
    assert the_lease(calm) is None
    live(calm, 2)
    assert the_lease(calm)["version"] > held["version"]


def test_a_round_that_gains_nothing_makes_no_replica_stale(calm: World) -> None:
    (handle,) = calm.acknowledged
    calm.write()
    live(calm, LIMITS.dead_after)
    holders = sorted(calm.metadata.up_to_date(handle))
    (free,) = set(NAMES) - set(holders)
    for down in ([free], holders, NAMES):
        source = holders[0]
        for name in down:
            calm.servers[name].up = False
        clone = calm.lab.granting.Clone(free, source)
        assert calm.ask(lambda clone=clone: (calm.granting.regroup(handle, clone=clone), "done")) is None
        with calm.metadata.section():
            assert sorted(calm.metadata.up_to_date(handle)) == holders
        calm.all_beat()
    calm.heal()


def test_the_primary_is_one_that_was_heard_lately(lab: SimpleNamespace) -> None:
    for heard in NAMES[:3]:
        world = World(lab, calm=True)
        world.servers["cs4"].cut = True
        world.allocate()
        for _ in range(4):
            world.let_pass(LIMITS.lease + 1)
            world.look()
            assert the_lease(world) is None
            world.beat(world.servers[heard])
            assert the_lease(world)["primary"] == heard
            world.beat(world.servers[heard])
            for server in world.servers.values():
                world.beat(server)


def test_a_late_claim_does_not_bring_back_a_lease_that_is_being_revoked(calm: World) -> None:
    held = the_lease(calm)
    server = calm.servers[held["primary"]]
    calm.clock.time += 1
    report = server.report()
    calm.heartbeats.register(server.name, report["sent"], report["chunks"], 0, "r")
    calm.clock.time += 1
    claim = server.report()
    fates = iter(["answer lost"])
    calm.fate = lambda: next(fates, "fine")  # type: ignore[method-assign]
    assert the_lease(calm) is None
    calm.heartbeats.heartbeat(**claim)
    assert the_lease(calm)["version"] > held["version"], "the primary has given this lease back"


def test_a_server_given_up_in_the_middle_of_a_grant_is_no_member(lab: SimpleNamespace) -> None:
    world = World(lab, calm=True)
    world.allocate()
    (handle,) = world.acknowledged
    gone = sorted(world.metadata.up_to_date(handle))[0]

    def meanwhile() -> None:
        if world.servers[gone].replicas[handle].version > 1 and gone in world.metadata.servers:
            world.metadata.servers._servers.pop(gone)
            world.metadata.replicas.forget(gone)

    world.meanwhile = meanwhile  # type: ignore[method-assign]
    lease = the_lease(world)
    assert gone not in (lease["primary"], *lease["secondaries"])
    assert world.servers[gone].replicas[handle].version < lease["version"], "its version says it is a member"


def test_a_server_that_says_it_has_no_replica_is_believed(calm: World) -> None:
    held = the_lease(calm)
    (handle,) = calm.acknowledged
    calm.let_pass(LIMITS.lease + 1)
    for server in calm.servers.values():
        calm.beat(server)
    lost = held["secondaries"][0]
    del calm.servers[lost].replicas[handle]
    assert lost not in (the_lease(calm)["primary"], *the_lease(calm)["secondaries"])
    assert calm.metadata.replicas.version(lost, handle) is None


def test_after_a_restart_no_chunk_is_made_of_the_few_servers_that_were_first(calm: World) -> None:
    calm.start_master()
    told = sorted(calm.metadata.expected)
    calm.clock.time += 1
    calm.beat(calm.servers[told[0]])
    calm.allocate()
    assert calm.chunks == 1
    live(calm, 2)
    calm.allocate()
    assert calm.chunks == 2
    new = max(calm.acknowledged)
    assert len(calm.metadata.location(new)["replicas"]) == LIMITS.replicas


def test_no_server_no_chunk_and_a_failed_creation_leaves_no_trace(lab: SimpleNamespace) -> None:
    world = World(lab, calm=True)
    for server in world.servers.values():
        server.cut = True
    world.allocate()
    assert world.chunks == 0
    assert world.metadata.state.namespace.file(FILE).chunks.tolist() == []
    for server in world.servers.values():
        server.cut = False
    world.allocate()
    assert world.chunks == 1


def test_another_server_takes_the_place_of_one_that_cannot_create(lab: SimpleNamespace) -> None:
    world = World(lab, calm=True)
    world.servers["cs1"].cut = True
    world.allocate()
    (handle,) = world.acknowledged
    assert world.metadata.location(handle)["replicas"] == ["cs2", "cs3", "cs4"]


def damaged(server: ModelServer, handle: int) -> dict[str, Any]:
    """A heartbeat in which the replica is damaged, and stored no longer."""
    server.world.clock.time += 1
    report = server.report()
    return {**report, "chunks": {key: value for key, value in report["chunks"].items() if key != handle}} | {
        "damaged": [handle]
    }


def test_a_damaged_replica_is_not_handed_out_until_it_is_dropped(calm: World) -> None:
    held = the_lease(calm)
    (handle,) = calm.acknowledged
    server = calm.servers[held["secondaries"][0]]
    assert calm.heartbeats.heartbeat(**damaged(server, handle))["delete"] == [], "it may be the only one"
    assert server.name not in calm.metadata.location(handle)["replicas"]
    live(calm, 2)
    assert server.name not in calm.metadata.location(handle)["replicas"]
    again = the_lease(calm)
    assert server.name not in (again["primary"], *again["secondaries"])
    assert calm.heartbeats.heartbeat(**damaged(server, handle))["delete"] == [handle]


def test_a_version_nobody_ever_logged_is_neither_believed_nor_deleted(calm: World) -> None:
    (handle,) = calm.acknowledged
    (other,) = set(NAMES) - set(calm.metadata.up_to_date(handle))
    calm.clock.time += 1
    report = {**calm.servers[other].report(), "chunks": {handle: 99}}
    assert calm.heartbeats.heartbeat(**report)["delete"] == []
    assert other not in calm.metadata.location(handle)["replicas"]


def test_an_orphan_is_collected_but_not_while_it_is_being_created(lab: SimpleNamespace) -> None:
    world = World(lab, calm=True)
    answers: list[Any] = []

    def meanwhile() -> None:
        for server in world.servers.values():
            world.clock.time += 0.1
            answers.append(world.heartbeats.heartbeat(**server.report()))

    world.meanwhile = meanwhile  # type: ignore[method-assign]
    world.allocate()
    assert answers and all(answer["delete"] == [] for answer in answers)
    world.clock.time += 1
    report = {**world.servers["cs1"].report(), "chunks": {77: 1}}
    assert world.heartbeats.heartbeat(**report)["delete"] == [77]


def test_no_lock_is_held_during_a_call(lab: SimpleNamespace) -> None:
    """The model acts in the middle of calls in the same thread, so a held lock would hang: be sure it would."""
    world = World(lab, 1)
    entered = threading.Event()

    def enter() -> None:
        with world.metadata.section():
            entered.set()

    with world.metadata.section():
        thread = threading.Thread(target=enter, daemon=True)
        thread.start()
        assert not entered.wait(0.05)
    assert entered.wait(5)
    thread.join()

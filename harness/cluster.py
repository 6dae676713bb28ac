"""The object a test holds: nodes, links, clock and disks, put together.

    with Cluster(workspace, seed=7) as cluster:
        cluster.add("cs1", "chunkserver", {"master": "master"})
        cluster.start("cs1")
        cluster.crash("cs1")            # SIGKILL; what was not synced is gone
        cluster.restart("cs1")          # same disk
        cluster.replace("cs1")          # same name, empty disk
        cluster.network.partition(["cs1"], ["master"])
        cluster.advance(60)             # a lease passes

A node that ends, hangs or refuses through a fault of the code under test is a LabFailure that says so in a sentence.
Waiting is bounded (`patience`, see harness/patience.py), so that an endless loop costs seconds.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, cast

from harness.failures import HarnessFault, LabFailure
from harness.network.network import Network
from harness.network.proxy import Proxy
from harness.node import CallRefused, Node, Note
from harness.patience import ORDINARY as PATIENCE
from harness.patience import Deadline
from harness.processes.control import as_map
from harness.processes.node import NodeSpec
from harness.processes.proxied_network import TOKEN_SIZE
from harness.processes.session import NodeProcess, Pending, Session
from harness.processes.virtual_time import SLOTS, TimePage
from harness.quiet import RESTLESS, Quiet
from harness.workspace import Workspace

SECOND_START_PATIENCE = 2.0  # and a start, after one has hung already
DISK_CAPACITY = 1 << 30
MOST_NOTES = 10_000


class Cluster:
    def __init__(
        self,
        workspace: Workspace,
        seed: int,
        *,
        session: Session | None = None,
        rate: float = 1.0,
        limits: Mapping[str, Any] | None = None,
    ) -> None:
        self.workspace = workspace
        self.rng = random.Random(seed)
        self.limits = dict(limits or {})
        self.nodes: dict[str, Node] = {}
        self._notes: deque[Note] = deque(maxlen=MOST_NOTES)
        self._own_session = session is None
        self._session = session or Session()
        self._directory = self._session.directory / f"cluster-{os.urandom(4).hex()}"
        self._directory.mkdir(parents=True)
        self.time = TimePage(self._directory / "time", create=True)
        self.time.set_rate(rate)
        self._proxy = Proxy(self.time)
        self.network = Network(self._proxy)
        self._quiet = Quiet(self.network, self._session, self.time, self.advance)
        self.network.hopeless = self._quiet.hopeless
        self.crashes = 0
        self.closed = False

    def __enter__(self) -> Cluster:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ---- nodes

    def add(
        self,
        name: str,
        program: str,
        config: Mapping[str, Any] | None = None,
        limits: Mapping[str, Any] | None = None,
    ) -> Node:
        """A node that is not started yet."""
        if name in self.nodes or len(self.nodes) >= SLOTS:
            raise HarnessFault(f"no room for a node {name!r}")
        directory = self._directory / name
        directory.mkdir()
        node = Node(
            name,
            program,
            dict(config or {}),
            {**self.limits, **(limits or {})},
            slot=len(self.nodes),
            directory=directory,
        )
        node.disk.mkdir()
        self.nodes[name] = node
        self._quiet.watch(node)
        return node

    def start(self, *names: str, crash_at: tuple[int, str] | None = None) -> None:
        """Start nodes side by side; returns when all are ready.

        `crash_at=(n, when)`: the node is to die at its n-th disk operation, "before", "half" or "after"; then this
        returns when it is ready or dead.
        """
        for name in names:
            self._spawn(self.nodes[name], crash_at)
        for name in names:
            self._wait_ready(self.nodes[name])

    def crash(self, name: str) -> None:
        """SIGKILL; what was not synced is lost. Returns when the process is gone."""
        node = self.nodes[name]
        node.expected_to_die = True
        self.crashes += 1
        if node.process is not None:
            node.process.kill()
        self._proxy.hang_up(name)

    def restart(self, name: str) -> None:
        """Crash if it runs, then start again with the same disk."""
        if self.nodes[name].alive:
            self.crash(name)
        self.start(name)

    def replace(self, name: str, image: Path | None = None) -> None:
        """Crash if it runs, then start under the same name with an empty disk, or with a copy of `image`."""
        node = self.nodes[name]
        if node.alive:
            self.crash(name)
        node.disks += 1
        if image is None:
            node.disk.mkdir()
        else:
            shutil.copytree(image, node.disk)
        self.start(name)

    def disk_image(self, name: str) -> Path:
        """A copy of what is durable on a node's disk. It must be at rest, or the copy may be of no single moment."""
        node = self.nodes[name]
        image = node.directory / f"image{len(list(node.directory.glob('image*')))}"
        shutil.copytree(node.disk, image)
        return image

    def pause(self, name: str) -> None:
        self._running(name).signal(signal.SIGSTOP)

    def resume(self, name: str) -> None:
        self._running(name).signal(signal.SIGCONT)

    def wait_dead(self, name: str, patience: float = PATIENCE) -> None:
        """Wait for a node that is to crash by itself (at a disk operation)."""
        process = self._running(name)
        if in_vain := self.await_event(lambda seconds: Deadline(seconds).wait(process.exited), patience):
            raise LabFailure(f"{name} was to crash but did not{in_vain}")
        self.crashes += 1
        self._proxy.hang_up(name)

    # ---- commands

    def begin(self, name: str, command: str, /, **args: Any) -> Pending:
        """Give a command without waiting for its answer."""
        return self._running(name).send(command, args)

    def result(self, name: str, pending: Pending, patience: float = PATIENCE) -> Any:
        """The value a command returned; LabFailure when the code under test raised, hung or died."""
        if in_vain := self.await_event(pending.wait, patience):
            raise LabFailure(
                f"{pending.command} on {name} gave no answer{in_vain}",
                why="an endless loop, a deadlock, or retries without an end",
            )
        message = pending.message
        if message is None:
            raise self.nodes[name].death(f"while it was doing {pending.command}")
        if "error" in message:
            raise CallRefused(name, pending.command, as_map(message["error"]))
        return message.get("value")

    def call(self, name: str, command: str, /, *, patience: float = PATIENCE, **args: Any) -> Any:
        return self.result(name, self.begin(name, command, **args), patience)

    def operations(self, name: str) -> list[dict[str, Any]]:
        """The numbered disk operations of this life of the node: {"number", "what", "file", "size"}."""
        return cast(list[dict[str, Any]], self.call(name, "harness.operations"))

    def crash_at(self, name: str, operation: int, when: str) -> None:
        """The node will die at its `operation`-th disk operation from now on (1 is the next); with 0, at none any more.

        It may die before it has answered: somebody else may be at work there, or an earlier order still held.
        """
        self.nodes[name].expected_to_die = True
        try:
            self.call(name, "harness.crash_at", operation=operation, when=when)
        except LabFailure:
            if self.nodes[name].alive:
                raise

    def port(self, name: str) -> int | None:
        """Where a node listens; None when it is down or does not."""
        return self._proxy.ports.get(name) if self.nodes[name].alive else None

    # ---- time

    def now(self) -> float:
        return self.time.now()

    def advance(self, seconds: float) -> None:
        """Jump: `seconds` pass at once for everybody."""
        self.time.advance(seconds)
        self._time_changed()

    def set_rate(self, rate: float) -> None:
        """Virtual seconds per real second; 0 stops time."""
        self.time.set_rate(rate)
        self._time_changed()

    def skew(self, name: str, *, offset: float = 0.0, factor: float = 1.0) -> None:
        """Step one node's clock forward by `offset` and let it run `factor` times as fast."""
        self.time.skew(self.nodes[name].slot, offset, factor)
        self._time_changed()

    def await_quiet(self, over: Callable[[], bool] = lambda: False, restless: float = RESTLESS) -> bool:
        """Return when nothing happens any more but through time, or it is `over`; whether it is. See Quiet.wait."""
        return self._quiet.wait(over, restless)

    def await_event(self, wait: Callable[[float], bool], patience: float) -> str:
        """Wait for what the nodes have to bring about: empty when it has come, else the end of a sentence that says
        how long it has not. See Quiet.await_event."""
        return self._quiet.await_event(wait, patience)

    def comes(self, wait: Callable[[float], bool], patience: float) -> bool:
        """Whether what nodes have to bring about comes while time passes as it does by itself. See Quiet.comes."""
        return self._quiet.comes(wait, patience)

    def until(self, condition: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
        """Poll until `condition()`; LabFailure saying `what` did not happen."""

        def poll(seconds: float) -> bool:
            end = time.monotonic() + seconds
            while not (came := condition()) and time.monotonic() < end:
                time.sleep(0.002)
            return came

        if in_vain := self.await_event(poll, patience):
            raise LabFailure(f"{what} did not happen{in_vain}")

    def await_news(self) -> None:
        """The news of a thread's end may come just after its socket's, and that of an error after its answer."""
        patience = time.monotonic() + 0.1
        nodes = list(self.nodes.values())
        while not any(node.ended_threads or node.logged for node in nodes) and time.monotonic() < patience:
            time.sleep(0.005)

    def unwritten(self) -> list[str]:
        """What threads of nodes have come to, and died of, that the student has still to write."""
        errors = [error for node in self.nodes.values() for error in list(node.ended_threads)]
        return [str(one.get("message")) for one in errors if one.get("type") == "NotImplementedError"]

    def asleep(self) -> bool:
        """Whether all nodes wait for something at this moment."""
        return self._quiet.asleep()

    @property
    def notes(self) -> list[Note]:
        """What nodes have said about themselves, the latest MOST_NOTES of it."""
        return list(self._notes)

    # ---- the end

    def close(self) -> None:
        """Kill everything. Idempotent; takes milliseconds."""
        if self.closed:
            return
        self.closed = True
        for node in self.nodes.values():
            node.expected_to_die = True
            if node.process is not None:
                node.process.signal(signal.SIGKILL)
        for node in self.nodes.values():
            if node.process is not None:
                node.process.kill()
                node.process.exited.wait(5)
        self._proxy.close()
        self.time.close()
        if self._own_session:
            self._session.close()
        else:
            shutil.rmtree(self._directory, ignore_errors=True)

    # ---- inside

    def _spawn(self, node: Node, crash_at: tuple[int, str] | None) -> None:
        if node.alive:
            raise HarnessFault(f"{node.name} runs already")
        if node.process is not None:
            self._proxy.hang_up(node.name)  # it may have died by itself
        node.lives += 1
        node.failure = None
        node.expected_to_die = crash_at is not None
        node.ready = threading.Event()
        token = os.urandom(TOKEN_SIZE)
        self._proxy.introduce(node.name, token)
        operation, when = crash_at or (0, "")
        spec = NodeSpec(
            name=node.name,
            program=node.program,
            config=node.config,
            limits=node.limits,
            roots={package: str(root) for package, root in self.workspace.roots.items()},
            bytecode=str(self._session.bytecode),
            time_page=str(self._directory / "time"),
            slot=node.slot,
            proxy_port=self._proxy.port,
            token=token,
            disk=str(node.disk),
            disk_capacity=DISK_CAPACITY,
            scratch=str(node.directory),
            log=str(node.log),
            seed=self.rng.getrandbits(63),
            crash_operation=operation,
            crash_when=when,
        )
        life = node.lives
        node.process = self._session.spawn(spec, lambda event: self._on_event(node, life, event))

    def _on_event(self, node: Node, life: int, event: dict[str, Any]) -> None:
        """From a node's control thread. What it says is taken for what it is worth."""
        if life != node.lives:
            return
        match event:
            case {"event": "listening", "port": int(port)} if 0 < port < 65536:
                self._proxy.set_port(node.name, port)
            case {"event": "ready"}:
                node.ready.set()
            case {"event": "failed", "phase": str(phase), "error": error}:
                node.failure = {"phase": phase, **as_map(error)}
                node.ready.set()
            case {"event": "note", "what": str(what), "facts": facts, "time": float(at)}:
                self._notes.append(Note(at, node.name, what, as_map(facts)))
            case {"event": "thread ended", "error": error}:
                node.ended_threads.append(as_map(error))
            case {"event": "error logged", "error": error}:
                node.logged.append(as_map(error))
            case {"event": "exited"}:
                node.ready.set()
            case _:
                pass

    def _wait_ready(self, node: Node) -> None:
        patience = self._session.start_patience
        if not Deadline(patience).wait(node.ready):
            # Once is enough to know: the other tests of this run shall not wait as long for the same loop.
            self._session.start_patience = SECOND_START_PATIENCE
            raise LabFailure(
                f"{node.name} did not start within {patience:g} s of real time",
                why="an endless loop at import or in start(): start() has to return once the node serves",
            )
        if node.failure is not None or (not node.alive and not node.expected_to_die):
            raise node.death("while it was starting")

    def _running(self, name: str) -> NodeProcess:
        node = self.nodes[name]
        if node.process is None:
            raise HarnessFault(f"{name} was never started")
        return node.process

    def _time_changed(self) -> None:
        for node in self.nodes.values():
            if node.process is not None and node.alive:
                node.process.wake()
        self._proxy.wake()

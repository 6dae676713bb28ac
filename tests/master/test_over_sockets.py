"""Lab 2's reference: a master over sockets, with scripted chunkservers. What crashes and late messages do: `master_model`."""

from __future__ import annotations

import importlib
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from labkit import Context, errors
from labkit.clock import SystemClock
from labkit.disk import OsDisk
from labkit.network import DirectNetwork
from labkit.protocol import CATALOGUE, Role
from tests.master.world import wait_until


class JumpingClock(SystemClock):
    """The system's clock, put forward by `jump` and shifted by `skew`. Waits take slices of real time."""

    def __init__(self, world: SimpleNamespace, skew: float = 0.0) -> None:
        self.world, self.skew = world, skew

    def now(self) -> float:
        return time.monotonic() + self.world.jumped + self.skew

    def wait_for(self, condition: Any, predicate: Callable[[], bool], timeout: float | None) -> bool:
        end = None if timeout is None else self.now() + timeout
        while not predicate():
            if end is not None and self.now() >= end:
                return False
            condition.wait(0.01)
        return True


class FakeChunkserver:
    """Keeps versions, says yes, and notes what it was told."""

    def __init__(self, nodes: Nodes, name: str) -> None:
        rpc: Any = importlib.import_module("rpc")
        self.context = nodes.context(name, skew=random.Random(name).uniform(-1e4, 1e4))
        self.name = name
        self.chunks: dict[int, int] = {}
        self.claims: list[list[int]] = []
        self.heard: list[tuple[str, dict[str, Any]]] = []
        self.block: dict[str, threading.Event] = {}
        names = ("create_chunk", "advance_version", "grant_lease", "revoke_lease")
        self.server = rpc.Server(self.context, {name: self.handler(name) for name in names})
        self.client = rpc.Client(self.context)
        self.server.start()

    def handler(self, method: str) -> Callable[..., Any]:
        def handle(**args: Any) -> dict[str, Any]:
            assert set(args) == set(CATALOGUE[method].args)
            self.heard.append((method, args))
            if method in self.block:
                assert self.block[method].wait(10)
            if method in ("create_chunk", "advance_version"):
                self.chunks[args["handle"]] = args["version"]
            return {}

        return handle

    def report(self) -> dict[str, Any]:
        chunks = [[handle, version] for handle, version in self.chunks.items()]
        return {"name": self.name, "sent": self.context.clock.now(), "chunks": chunks, "used": len(chunks)}

    def tell(self, method: str, **more: Any) -> Any:
        reply = self.client.call("master", method, {**self.report(), **more}, at_most_once=False).value
        assert set(reply) == set(CATALOGUE[method].reply)
        return reply

    def register(self) -> Any:
        return self.tell("register", rack="r")

    def heartbeat(self, *leases: list[int]) -> Any:
        return self.tell("heartbeat", damaged=[], leases=list(leases))

    def stop(self) -> None:
        self.server.stop()
        self.client.close()


class Nodes:
    """Nodes of one process, that find each other by name."""

    def __init__(self, lab: SimpleNamespace, directory: Path) -> None:
        self.lab, self.directory = lab, directory
        self.ports: dict[str, int] = {}
        self.time = SimpleNamespace(jumped=0.0)
        self.master = lab.start(self.context("master"))
        rpc: Any = importlib.import_module("rpc")
        self.client = rpc.Client(self.context("client"))
        self.servers = [FakeChunkserver(self, name) for name in ("cs1", "cs2", "cs3")]
        for server in self.servers:
            server.register()

    def context(self, name: str, skew: float = 0.0) -> Context:
        network = DirectNetwork(self.ports.__getitem__, lambda port: self.ports.__setitem__(name, port))
        clock = JumpingClock(self.time, skew)
        return Context(name, {}, clock, OsDisk(self.directory / name), network, random.Random(name))

    def ask(self, method: str, **args: Any) -> Any:
        entry = CATALOGUE[method]
        assert set(args) == set(entry.args)
        try:
            reply = self.client.call("master", method, args, at_most_once=entry.at_most_once).value
        except errors.RemoteError as error:
            assert error.code in entry.errors, error
            raise
        assert set(reply) == set(entry.reply)
        return reply

    def pass_time(self, seconds: float) -> None:
        """Put the clocks forward, in steps short enough for the master to believe them."""
        time_ = self.master._metadata._time
        while seconds > 0:
            self.time.jumped += min(seconds, 5.0)
            seconds -= 5.0
            then = self.master._context.clock.now()
            wait_until(lambda then=then: time_._looked >= then)

    def restart_master(self) -> None:
        self.master.stop()
        self.master = self.lab.start(self.context("master"))

    def stop(self) -> None:
        self.client.close()
        for server in self.servers:
            server.stop()
        self.master.stop()


@pytest.fixture
def nodes(lab: SimpleNamespace, tmp_path: Path) -> Iterator[Nodes]:
    nodes = Nodes(lab, tmp_path)
    yield nodes
    nodes.stop()


def test_the_master_answers_every_method_of_its_role(nodes: Nodes) -> None:
    expected = {method.name for method in CATALOGUE.values() if method.role is Role.MASTER}
    assert set(nodes.master._server._handlers) == expected


def test_from_a_file_to_a_lease(nodes: Nodes) -> None:
    nodes.ask("create", path="/a")
    assert nodes.ask("list", path="/") == {"paths": ["/a"]}
    chunk = nodes.ask("allocate", path="/a", index=0)
    assert chunk == {"handle": 1, "version": 1, "replicas": ["cs1", "cs2", "cs3"]}
    assert nodes.ask("allocate", path="/a", index=0) == chunk
    assert nodes.ask("lookup", path="/a", index=0) == chunk
    assert nodes.ask("stat", path="/a") == {"chunks": 1}
    lease = nodes.ask("lease", handle=1)
    assert lease["version"] == 2
    assert sorted([lease["primary"], *lease["secondaries"]]) == chunk["replicas"]
    assert nodes.ask("lease", handle=1) == lease
    assert nodes.ask("lookup", path="/a", index=0)["version"] == 2
    (primary,) = [server for server in nodes.servers if server.name == lease["primary"]]
    (granted,) = [args for method, args in primary.heard if method == "grant_lease"]
    assert granted["secondaries"] == lease["secondaries"]
    assert 50.0 < granted["until"] - primary.context.clock.now() <= 60.0


def test_lease_is_renewed_on_the_chunkservers_clock(nodes: Nodes) -> None:
    nodes.ask("create", path="/a")
    nodes.ask("allocate", path="/a", index=0)
    lease = nodes.ask("lease", handle=1)
    (primary,) = [server for server in nodes.servers if server.name == lease["primary"]]
    before = primary.context.clock.now()
    ((handle, until),) = primary.heartbeat([1, lease["version"]])["leases"]
    assert handle == 1
    assert before + 60.0 <= until <= primary.context.clock.now() + 60.0
    (other, *_) = [server for server in nodes.servers if server is not primary]
    assert other.heartbeat([1, lease["version"]])["leases"] == []


@pytest.mark.parametrize(
    ("method", "args", "error"),
    [
        ("create", {"path": "a"}, errors.InvalidPath),
        ("create", {"path": "/d/a"}, errors.NoSuchFile),
        ("stat", {"path": "/x"}, errors.NoSuchFile),
        ("list", {"path": "/x"}, errors.NoSuchFile),
        ("lookup", {"path": "/x", "index": 0}, errors.NoSuchFile),
        ("allocate", {"path": "/x", "index": 0}, errors.NoSuchFile),
        ("lease", {"handle": 9}, errors.NoSuchChunk),
    ],
)
def test_errors_arrive_as_themselves(nodes: Nodes, method: str, args: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        nodes.ask(method, **args)


@pytest.mark.parametrize(
    "arguments",
    [
        {"chunks": None},
        {"chunks": [[1]]},
        {"chunks": [["1", 2]]},
        {"used": "much"},
        {"damaged": 5},
        {"leases": [[1, 2, 3]]},
        {"sent": "now"},
        {"sent": float("nan")},
        {"sent": float("inf")},
        {"name": 3},
    ],
)
def test_a_report_of_another_shape_is_refused_and_harms_nobody(
    nodes: Nodes, arguments: dict[str, Any]
) -> None:
    server = nodes.servers[0]
    args = {**server.report(), "damaged": [], "leases": [], **arguments}
    with pytest.raises(errors.BadArguments):
        nodes.client.call("master", "heartbeat", args, at_most_once=False)
    assert server.heartbeat() == {"leases": [], "delete": [], "register": False}


def test_nobody_waits_for_another_chunks_lease(nodes: Nodes) -> None:
    for path in ("/a", "/b"):
        nodes.ask("create", path=path)
        nodes.ask("allocate", path=path, index=0)
    gate = threading.Event()
    for server in nodes.servers:
        server.block["advance_version"] = gate
    answers: list[Any] = []
    threads = [
        threading.Thread(target=lambda: answers.append(nodes.ask("lease", handle=1)), daemon=True)
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    wait_until(lambda: nodes.servers[0].heard[-1][0] == "advance_version")
    for server in nodes.servers:
        server.block.clear()
    assert nodes.ask("lease", handle=2)["version"] == 2
    assert nodes.ask("lookup", path="/a", index=0)["version"] == 1
    assert nodes.servers[1].heartbeat()["delete"] == []
    assert answers == []
    gate.set()
    for thread in threads:
        thread.join(10)
    assert answers == [answers[0]] * 4
    assert answers[0]["version"] == 2


def test_two_clients_that_allocate_at_once_get_one_chunk(nodes: Nodes) -> None:
    nodes.ask("create", path="/a")
    answers: list[Any] = []
    threads = [
        threading.Thread(
            target=lambda: answers.append(nodes.ask("allocate", path="/a", index=0)), daemon=True
        )
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert answers == [answers[0]] * 6
    assert nodes.ask("stat", path="/a") == {"chunks": 1}


def test_everything_answered_is_there_after_a_restart(nodes: Nodes) -> None:
    nodes.ask("create", path="/a")
    nodes.ask("allocate", path="/a", index=0)
    lease = nodes.ask("lease", handle=1)
    nodes.restart_master()
    assert nodes.ask("stat", path="/a") == {"chunks": 1}
    assert nodes.ask("lookup", path="/a", index=0) == {"handle": 1, "version": 2, "replicas": []}
    for server in nodes.servers:
        assert server.heartbeat()["register"] is True
        server.register()
        server.heartbeat(*([[1, 2]] if server.name == lease["primary"] else []))
    assert nodes.ask("lookup", path="/a", index=0)["replicas"] == ["cs1", "cs2", "cs3"]
    assert nodes.ask("lease", handle=1) == lease
    nodes.ask("create", path="/b")
    assert nodes.ask("allocate", path="/b", index=0)["handle"] == 2


def test_a_silent_server_is_dropped_and_told_to_register_when_it_returns(nodes: Nodes) -> None:
    nodes.ask("create", path="/a")
    nodes.ask("allocate", path="/a", index=0)
    *others, silent = nodes.servers
    # Past the first dead_after seconds, in which nobody is taken for dead.
    for _ in range(9):
        nodes.pass_time(4.0)
        for server in others:
            server.heartbeat()
    wait_until(lambda: nodes.ask("lookup", path="/a", index=0)["replicas"] == ["cs1", "cs2"])
    assert silent.heartbeat()["register"] is True
    silent.register()
    assert nodes.ask("lookup", path="/a", index=0)["replicas"] == ["cs1", "cs2", "cs3"]


def test_the_lease_of_a_lost_secondary_is_taken_back_unasked(nodes: Nodes) -> None:
    nodes.ask("create", path="/a")
    nodes.ask("allocate", path="/a", index=0)
    lease = nodes.ask("lease", handle=1)
    by_name = {server.name: server for server in nodes.servers}
    lost = by_name[lease["secondaries"][0]]
    lost.chunks.clear()
    lost.register()
    heard = by_name[lease["primary"]].heard
    nodes.time.jumped += 1.0
    revoked = {"handle": 1, "version": lease["version"]}
    wait_until(lambda: ("revoke_lease", revoked) in heard)
    again = wait_until(lambda: nodes.ask("lease", handle=1))
    assert again["version"] > lease["version"]
    assert lost.name not in (again["primary"], *again["secondaries"])


def test_a_master_that_stops_leaves_no_thread(lab: SimpleNamespace, tmp_path: Path) -> None:
    before = set(threading.enumerate())
    nodes = Nodes(lab, tmp_path)
    nodes.ask("create", path="/a")
    nodes.ask("allocate", path="/a", index=0)
    nodes.stop()
    wait_until(lambda: set(threading.enumerate()) <= before)

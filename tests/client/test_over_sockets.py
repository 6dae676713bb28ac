"""The client over real RPC: with the scripted cluster, and with the real master and chunkservers."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable
from typing import Any

from labkit.protocol import CATALOGUE, RECORD
from tests.client.net import Net
from tests.client.world import CHUNK, World, bodies


def serve(net: Net, world: World, name: str) -> Any:
    """`world`'s node `name` behind a real server."""
    rpc = importlib.import_module("rpc")
    lock = threading.Lock()

    def handler(method: str) -> Callable[..., Any]:
        def handle(**args: Any) -> Any:
            with lock:
                return rpc.Reply(*world.handle(name, method, args))

        return handle

    return net.start(rpc.Server(net.context(name), {method: handler(method) for method in CATALOGUE}))


def test_over_sockets_with_a_slow_primary_and_a_dead_replica(lab: Any, net: Net, world: World) -> None:
    nodes = {name: serve(net, world, name) for name in ("master", *world.servers)}
    client = lab("").Client(net.context("client"))
    client.create("/f")
    # The primary takes longer than one transmission waits, so the same call is sent again: it runs once.
    world.script("cs1", "append", lambda: net.clock.sleep(5.0))
    client.append("/f", b"slow")
    assert world.count("append") == 1
    nodes["cs3"].stop()
    for n in range(20):
        client.append("/f", b"%d" % n * 100)
    assert bodies(client.scan("/f")) == [b"slow", *[b"%d" % n * 100 for n in range(20)]]
    assert client.read("/f", RECORD.size, 4) == b"slow"
    client.close()


def test_several_threads_share_a_client(lab: Any, net: Net, world: World) -> None:
    serve(net, world, "master")
    for name in world.servers:
        serve(net, world, name)
    client = lab("").Client(net.context("client"))
    client.create("/f")
    sent: dict[int, bytes] = {}

    def work(worker: int) -> None:
        for n in range(15):
            body = f"{worker}/{n}".encode() * 10
            sent[client.append("/f", body)] = body

    threads = [threading.Thread(target=work, args=(worker,), daemon=True) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20.0)
    assert len(sent) == 60
    assert {found.offset: found.body for found in client.scan("/f")} == sent
    client.close()


class RealCluster:
    """The four reference packages in this process. Nodes stop and start again on their disks."""

    def __init__(self, net: Net) -> None:
        self.net = net
        self.nodes: dict[str, Any] = {}
        self.start("master")
        for name in ("cs1", "cs2", "cs3", "cs4"):
            self.start(name)

    def start(self, name: str) -> None:
        package = importlib.import_module("gfs_master" if name == "master" else "chunkserver")
        self.nodes[name] = package.start(self.net.context(name))
        self.net.running.append(self.nodes[name])

    def stop(self, name: str) -> None:
        self.net.running.remove(self.nodes[name])
        self.nodes.pop(name).stop()


def append_in_threads(clients: list[Any], each: int) -> dict[int, bytes]:
    """Offset and body of every acknowledged record; every append must be acknowledged."""
    sent: dict[int, bytes] = {}

    def work(worker: int) -> None:
        for n in range(each):
            body = f"{worker}/{n}".encode() * 8
            sent[clients[worker].append("/log", body)] = body

    threads = [threading.Thread(target=work, args=(worker,), daemon=True) for worker in range(len(clients))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30.0)
    assert len(sent) == each * len(clients)
    return sent


def assert_sees(client: Any, sent: dict[int, bytes]) -> None:
    """A reader that opens the file now finds every acknowledged record where it was acknowledged."""
    found = {record.offset: record.body for record in client.scan("/log")}
    assert {offset: found.get(offset) for offset in sent} == sent
    assert set(found.values()) == set(sent.values())
    for offset in found:
        assert offset // CHUNK == (offset + RECORD.size + len(found[offset]) - 1) // CHUNK
    once = client.records("/log")
    assert len({record.record_id for record in once}) == len(once) == len(sent)


def test_the_whole_cluster_keeps_what_was_acknowledged(lab: Any, net: Net) -> None:
    cluster = RealCluster(net)
    clients = [lab("").Client(net.context(f"client{n}")) for n in range(3)]
    clients[0].create("/log")
    sent = append_in_threads(clients, 12)
    assert_sees(clients[0], sent)

    last = clients[0].append("/log", b"last before the fall")
    sent[last] = b"last before the fall"
    where = clients[0]._master.locate("/log", last // CHUNK)
    fallen = clients[0]._master.lease(where.handle).primary
    cluster.stop(fallen)
    for n, client in enumerate(clients):
        body = b"while one is down, %d" % n
        sent[client.append("/log", body)] = body
    cluster.start(fallen)
    for _ in range(5):
        assert_sees(clients[1], sent)

    # The master forgets who stores what, and learns it again.
    cluster.stop("master")
    cluster.start("master")
    sent[clients[2].append("/log", b"after the master")] = b"after the master"
    for client in clients:
        assert_sees(client, sent)
        client.close()

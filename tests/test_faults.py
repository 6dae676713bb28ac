"""The slow line (harness/network/faults/slow.py), and disks that are spoilt (harness/disk_faults.py)."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from harness import disk_faults
from harness.cluster import CallRefused, Cluster
from harness.network.faults import Aim, Slow, When
from harness.network.faults.base import Fate
from harness.network.frame import Frame
from harness.network.raw import RawPeer


def sent(time: float, sender: str, receiver: str, size: int) -> Frame:
    return Frame("request", sender, receiver, {}, size, 1, time)


def arrival(fault: Slow, frame: Frame) -> float:
    match fault.fate(frame):
        case Fate(after=(delay,)):
            return frame.time + delay
        case other:
            raise AssertionError(other)


def test_a_line_takes_one_byte_after_the_other() -> None:
    slow = Slow(100.0, latency=0.5)
    assert arrival(slow, sent(1.0, "a", "b", 200)) == 3.5
    assert arrival(slow, sent(1.5, "a", "c", 100)) == 4.5, "another receiver, the same line"
    assert arrival(slow, sent(1.5, "b", "a", 100)) == 3.0, "another sender, another line"
    assert arrival(slow, sent(9.0, "a", "b", 100)) == 10.5, "idle lines save nothing up"


def test_a_slow_frame_arrives_whole_and_late(cluster: Cluster) -> None:
    cluster.set_rate(0.0)
    cluster.network.add(Slow(1000.0))
    with RawPeer(cluster.network).connect("node") as node:
        node.request("add", {"key": "k"}, xid=(7, 1), payload=b"x" * 10_000)
        cluster.until(lambda: bool(cluster.network.journal), "the frame")
        assert cluster.network.journal[0].fate == "slowed"
        cluster.advance(11.0)  # the frame reaches the node, whose echo takes as long
        cluster.until(lambda: len(cluster.network.journal) > 1, "the echo")
        cluster.advance(11.0)
        assert node.receive()[1] == b"x" * 10_000


def test_the_journal_is_read_on_from_where_it_was_read(cluster: Cluster) -> None:
    with RawPeer(cluster.network).connect("node") as node:
        # No fault looks at it, so that the reply's method can come from the journal only.
        node.request("add", {"key": "k"}, xid=(7, 1))
        cluster.until(lambda: bool(cluster.network.journal), "the request")
        before = cluster.network.journal
        assert node.receive()
        node.request("add", {"key": "k"}, xid=(7, 2))
        assert node.receive()
        cluster.until(lambda: len(cluster.network.journal) == 4, "the second reply")
    frames = cluster.network.journal
    assert [(frame.kind, frame.method) for frame in frames] == [("request", "add"), ("reply", "add")] * 2
    assert frames[0] is before[0], "decoded once"


def test_whoever_was_connected_to_a_node_that_crashed_has_heard_of_it_at_once(cluster: Cluster) -> None:
    """Otherwise a client could send into a connection of the life before, and wait for its clock, which stands still."""
    proxy = cluster.network.proxy
    peers = RawPeer(cluster.network)
    for crash in (cluster.crash, cluster.restart):
        with peers.connect("node") as peer:
            peer.request("add", {"key": "k"}, xid=(7, 1))
            assert peer.receive()
            busy = threading.Thread(target=lambda: proxy.submit(lambda: time.sleep(0.3)))
            busy.start()
            crash("node")
            assert peer.closed(patience=0.001)
            busy.join()
        if not cluster.nodes["node"].alive:
            cluster.start("node")


def test_a_full_disk_refuses_what_does_not_fit(cluster: Cluster) -> None:
    cluster.call("node", "append", name="f", data=b"x" * 100)
    disk_faults.leave_room(cluster, "node", 50)
    cluster.call("node", "append", name="f", data=b"y" * 50)
    with pytest.raises(CallRefused, match="full"):
        cluster.call("node", "append", name="f", data=b"z")
    cluster.restart("node")
    cluster.call("node", "append", name="f", data=b"z")


def test_files_of_a_running_node_are_spoilt(cluster: Cluster) -> None:
    cluster.call("node", "append", name="f", data=b"abcdef")
    (path,) = disk_faults.files_with(cluster, "node", b"cde")
    disk_faults.flip_bit(path, 2)
    assert cluster.call("node", "read", name="f") == b"abgdef"
    disk_faults.cut_short(path, 3)
    assert cluster.call("node", "read", name="f") == b"abg"
    disk_faults.lose(cluster, "node", path)
    with pytest.raises(CallRefused) as refusal:
        cluster.call("node", "read", name="f")
    value: Any = refusal.value
    assert value.type == "FileNotFoundError"
    cluster.call("node", "append", name="f", data=b"held open all the while", sync=False)


def test_a_fault_may_strike_while_somebody_waits_to_change_the_faults(cluster: Cluster) -> None:
    """It changes them itself, in the very thread that the other one waits for."""
    network = cluster.network
    healer = threading.Thread(target=network.heal, daemon=True)
    struck = threading.Event()

    def strike() -> None:
        healer.start()
        time.sleep(0.2)  # until it waits
        network.partition(["node"], ["nobody"])
        struck.set()

    network.add(When(Aim("add", "request"), strike, deliver=True))
    with RawPeer(network).connect("node") as node:
        node.request("add", {"key": "k"}, xid=(7, 1))
        assert struck.wait(10.0), "they wait for each other"
        healer.join(10.0)
        assert node.receive()
    assert not healer.is_alive()
    assert network.proxy.faults == (), "healed last"
    assert network.injected == 1

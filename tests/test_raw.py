"""A test as a node of its own (harness/network/raw.py), and what a failure is told of the nodes' threads."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest

from harness.cluster import MOST_NOTES, Cluster
from harness.failures import BROKEN, NOT_IMPLEMENTED, HarnessFault, LabFailure
from harness.fixtures import CLUSTERS, pytest_runtest_call
from harness.grading.outcome import DeadlineExceeded
from harness.network.faults import Aim
from harness.network.frame import GLIMPSE, encode
from harness.network.raw import RawPeer
from harness.node import MOST_ENDED
from harness.troubles import blame
from harness.workspace import Workspace


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with Cluster(Workspace.solution().for_lab("lab01"), 1) as cluster:
        cluster.add("node", "idle")
        cluster.start("node")
        yield cluster


def test_frames_go_there_and_back_and_into_the_journal(cluster: Cluster) -> None:
    with RawPeer(cluster.network).connect("node") as node:
        node.request("add", {"key": "k"}, xid=(7, 1), payload=b"bulk")
        header, payload = node.receive()
    assert (header["method"], header["xid"], header["epoch"], payload) == ("add", [7, 1], None, b"bulk")
    (frame,) = cluster.network.frames("add", sender="tester", receiver="node")
    assert frame.xid == (7, 1)


@pytest.mark.parametrize("watched", [False, True])
def test_the_journal_has_a_glimpse_of_the_payload(cluster: Cluster, watched: bool) -> None:
    """Whether a fault makes the proxy look at the frame or not, and nothing of what comes behind it."""
    if watched:
        cluster.network.watch(Aim("add", "request", times=None))
    sent = bytes(range(100))
    with RawPeer(cluster.network).connect("node") as node:
        for number, payload in enumerate((sent, sent[:5], b""), start=1):
            node.request("add", xid=(7, number), payload=payload)
            node.receive()
    seen = [frame.glimpse for frame in cluster.network.frames("add", sender="tester")]
    assert seen == [sent[:GLIMPSE], sent[:5], b""]


def test_replies_to_others_are_skipped(cluster: Cluster) -> None:
    with RawPeer(cluster.network).connect("node") as node:
        node.send_frame({"xid": [1, 1], "result": 1})
        node.send_frame({"xid": [1, 2], "result": 2})
        assert node.reply((1, 2))[0]["result"] == 2


def test_faults_can_be_aimed_at_a_peer(cluster: Cluster) -> None:
    cluster.network.drop(Aim("add", "request", sender="tester"))
    with RawPeer(cluster.network).connect("node") as node:
        node.request("add", xid=(1, 1))
        node.request("add", xid=(1, 2))
        assert node.receive()[0]["xid"] == [1, 2]


def test_a_peer_can_listen(cluster: Cluster) -> None:
    peer = RawPeer(cluster.network, "stub")
    peer.listen()
    data = encode({"xid": [1, 1], "method": "add"})
    pending = cluster.begin("node", "exchange", peer="stub", data=data, count=len(data))
    with peer.accept() as caller:
        header, payload = caller.receive()
        caller.send_frame(header, payload)
        assert caller.closed()
    assert cluster.result("node", pending) == data
    peer.close()


@pytest.mark.parametrize(
    ("sent", "finish", "says"),
    [
        (struct.pack(">II", 0, 0), False, "is no frame"),
        (b"\0\0\0", True, "closed the connection"),
        (b"", False, "no whole frame within"),
    ],
    ids=["rubbish", "end", "silence"],
)
def test_what_is_no_frame_is_a_failure_in_words(
    cluster: Cluster, sent: bytes, finish: bool, says: str
) -> None:
    with RawPeer(cluster.network).connect("node") as node:
        node.send(sent)
        if finish:
            node.finish()
        with pytest.raises(LabFailure, match=says):
            node.receive(patience=0.1 if says.startswith("no whole") else 5.0)


def test_silence_names_the_question(cluster: Cluster) -> None:
    peer = RawPeer(cluster.network, "mute")
    peer.listen()
    with RawPeer(cluster.network).connect("mute") as mute:
        mute.request("add", xid=(1, 1))
        with pytest.raises(LabFailure, match=r"no whole frame within .*; the last request to it was add"):
            mute.receive(patience=0.1)
    peer.close()


def test_an_open_connection_is_not_closed(cluster: Cluster) -> None:
    with RawPeer(cluster.network).connect("node") as node:
        assert not node.closed(patience=0.05)
        cluster.crash("node")
        assert node.closed()


def test_nobody_there_is_a_failure_in_words(cluster: Cluster) -> None:
    peer = RawPeer(cluster.network)
    cluster.crash("node")
    with pytest.raises(LabFailure, match="takes no connections"):
        peer.connect("node")
    with pytest.raises(HarnessFault, match="already"):
        RawPeer(cluster.network, "node")


# ---- threads of a node that have died


@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [("NotImplementedError", NOT_IMPLEMENTED, "a hint"), ("KeyError", BROKEN, "nothing came")],
)
def test_a_failure_hears_of_threads_that_died(cluster: Cluster, error: str, kind: str, says: str) -> None:
    node = cluster.nodes["node"]
    node.ended_threads.append({"type": error, "message": "a hint", "traceback": f"line 1\n{error}"})
    failure = LabFailure("nothing came")
    blame(cluster, failure)
    assert (failure.kind, failure.message) == (kind, says)
    assert kind == NOT_IMPLEMENTED or f"a thread of node died of this:\nline 1\n{error}" in str(
        failure.witness
    )
    with pytest.raises(LabFailure) as raised:
        cluster.until(lambda: False, "it", patience=0.01 if kind == BROKEN else 60.0)
    assert "it did not happen" in raised.value.message


@pytest.mark.parametrize("error", ["NotImplementedError", "KeyError"])
def test_a_test_that_ends_late_is_told_of_its_nodes(
    cluster: Cluster, request: pytest.FixtureRequest, error: str
) -> None:
    message = "lab 1 part A: a hint"
    cluster.nodes["node"].ended_threads.append({"type": error, "message": message, "traceback": error})
    request.node.stash[CLUSTERS] = [cluster]
    called = pytest_runtest_call(request.node)
    next(called)
    with pytest.raises((LabFailure, DeadlineExceeded)) as raised:
        called.throw(DeadlineExceeded("did not finish"))
    if error == "NotImplementedError":
        assert isinstance(raised.value, LabFailure) and raised.value.message == message
    else:
        assert isinstance(raised.value, DeadlineExceeded)
        assert raised.value.known.startswith("a thread of node died of this:\nKeyError")


def test_a_thread_that_dies_is_told_to_the_cluster(cluster: Cluster) -> None:
    cluster.call("node", "die_in_thread", text="of this")
    cluster.until(lambda: bool(cluster.nodes["node"].ended_threads), "the end of a thread")
    (ended,) = cluster.nodes["node"].ended_threads
    assert (ended["type"], ended["message"]) == ("RuntimeError", "of this")


def test_a_node_that_talks_without_end_costs_little(cluster: Cluster) -> None:
    cluster.call("node", "annotate", count=MOST_NOTES + 500)
    cluster.until(
        lambda: bool(cluster.notes) and cluster.notes[-1].facts == {"number": MOST_NOTES + 499}, "notes"
    )
    assert [note.facts["number"] for note in cluster.notes] == list(range(500, MOST_NOTES + 500))
    for number in range(MOST_ENDED + 5):
        cluster.call("node", "die_in_thread", text=f"no. {number}")
    last = f"no. {MOST_ENDED + 4}"
    ended = cluster.nodes["node"].ended_threads
    cluster.until(lambda: any(error["message"] == last for error in list(ended)), "the last error")
    assert len(ended) <= MOST_ENDED

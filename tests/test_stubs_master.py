"""The scripted master of lab 3: it answers reports as the protocol says, and does not forgive one that is none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from harness.cluster import Cluster
from harness.failures import LabFailure
from harness.processes.session import Session
from harness.stubs.cell import Call, refused
from harness.stubs.master import StubMaster
from harness.stubs.peer import ScriptedPeer
from harness.workspace import Workspace
from labkit import Limits
from labkit.errors import BadArguments, NoSuchChunk, NotPrimary

LIMITS = Limits()
BEAT: dict[str, Any] = {
    "name": "cs1",
    "sent": 5000.0,
    "chunks": [[7, 2], [8, 1]],
    "damaged": [9],
    "leases": [[7, 2]],
    "used": 12,
}
REGISTER: dict[str, Any] = {"name": "cs1", "sent": 4000.0, "chunks": [[7, 2]], "used": 12, "rack": ""}


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    made = Session()
    yield made
    made.close()


@pytest.fixture
def cluster(session: Session) -> Iterator[Cluster]:
    """Without a node: master and chunkserver are both stubs."""
    with Cluster(Workspace({}, "nobody"), seed=1, session=session) as made:
        yield made


@pytest.fixture
def master(cluster: Cluster) -> StubMaster:
    return StubMaster(cluster, LIMITS)


@pytest.fixture
def server(cluster: Cluster) -> ScriptedPeer:
    return ScriptedPeer(cluster, "cs1", {"grant_lease": lambda **_: {}})


def test_a_heartbeat_is_remembered_and_renews_on_the_clock_it_names(
    master: StubMaster, server: ScriptedPeer
) -> None:
    answer = server.ask("master", "heartbeat", BEAT)
    assert answer == {"leases": [[7, 5000.0 + LIMITS.lease]], "delete": [], "register": False}
    (report,) = master.reports("cs1")
    assert report.chunks == {7: 2, 8: 1}
    assert (report.damaged, report.leases, report.sent) == ((9,), {7: 2}, 5000.0)
    assert master.reports("cs1", "register") == master.reports("cs2") == []
    assert master.promised == {("cs1", 7): 5000.0 + LIMITS.lease}


def test_reports_are_in_the_order_in_which_they_were_sent(master: StubMaster, server: ScriptedPeer) -> None:
    """What a server that was killed has sent may come when the next one has registered already."""
    for sent in (5000.0, 7000.0, 6000.0):
        server.ask("master", "heartbeat", {**BEAT, "sent": sent})
    assert [report.sent for report in master.reports("cs1")] == [5000.0, 6000.0, 7000.0]
    assert [report.sent for report in master.reports("cs1", since=6000.0)] == [6000.0, 7000.0]


def test_it_stops_renewing(master: StubMaster, server: ScriptedPeer) -> None:
    server.ask("master", "heartbeat", BEAT)
    master.stop_renewing()
    assert server.ask("master", "heartbeat", {**BEAT, "sent": 6000.0})["leases"] == []
    assert master.promised == {("cs1", 7): 5000.0 + LIMITS.lease}


def test_it_says_what_it_wants_until_it_is_done(master: StubMaster, server: ScriptedPeer) -> None:
    master.delete["cs1"] = [7]
    master.forget.add("cs1")
    for _ in range(2):  # an answer may be lost
        assert server.ask("master", "heartbeat", BEAT) == {"leases": [], "delete": [7], "register": True}
    assert server.ask("master", "register", {**REGISTER, "chunks": []}) == {"delete": []}
    told = server.ask("master", "heartbeat", {**BEAT, "chunks": []})
    assert (told["delete"], told["register"]) == ([], False)


def test_a_late_renewal_never_lowers_what_was_promised(master: StubMaster, server: ScriptedPeer) -> None:
    master.grant(7, 2, "cs1", ["cs2"], until=9000.0)
    server.ask("master", "heartbeat", BEAT)
    assert master.promised == {("cs1", 7): 9000.0}
    (grant,) = server.got("grant_lease")
    assert grant.args == {"handle": 7, "version": 2, "until": 9000.0, "secondaries": ["cs2"]}


@pytest.mark.parametrize(
    "wrong",
    [
        {"chunks": {7: 2}},
        {"chunks": [[7, 2, 100]]},
        {"chunks": [7]},
        {"chunks": None},
        {"leases": [[7, True]]},
        {"damaged": ["9"]},
        {"sent": "now"},
        {"used": None},
        {"name": 1},
    ],
)
def test_a_report_that_is_none_is_refused_and_shown(
    master: StubMaster, server: ScriptedPeer, wrong: dict[str, Any]
) -> None:
    with pytest.raises(BadArguments):
        server.ask("master", "heartbeat", {**BEAT, **wrong})
    with pytest.raises(LabFailure, match=r"a request to master is not what docs/protocol.md says") as failure:
        master.reports("cs1")
    assert next(iter(wrong)) in str(failure.value.seen)


def test_a_report_that_leaves_something_out_says_what(master: StubMaster, server: ScriptedPeer) -> None:
    less = {name: value for name, value in BEAT.items() if name != "damaged"}
    with pytest.raises(BadArguments):
        server.ask("master", "heartbeat", less)
    with pytest.raises(LabFailure) as failure:
        master.reports("cs1")
    assert "without damaged" in str(failure.value.seen)


# ---- what tests of lab 3 say with


def test_refused_wants_one_of_the_codes() -> None:
    def no() -> None:
        raise NotPrimary("not me")

    refused("not_primary", no, "an append")
    refused(("stale_version", "not_primary"), no, "an append")
    with pytest.raises(LabFailure, match="refused for another reason"):
        refused("stale_version", no, "an append")
    with pytest.raises(LabFailure, match="an append was not refused"):
        refused("stale_version", dict, "an append")


def test_a_call_gives_what_it_came_to(cluster: Cluster) -> None:
    def no() -> dict[str, Any]:
        raise NoSuchChunk("7")

    assert Call(lambda: {"offset": 3}, "an append", cluster).result() == {"offset": 3}
    assert Call(dict, "an append", cluster).result() == {}
    with pytest.raises(NoSuchChunk):
        Call(no, "an append", cluster).result()

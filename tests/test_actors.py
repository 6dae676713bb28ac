"""Time does not pass over the heads of the harness's own threads that play nodes."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from harness.cluster import Cluster
from harness.network.actors import Actors
from harness.network.faults import Aim
from harness.patience import Deadline
from harness.processes.session import Session
from harness.quiet import Quiet
from harness.stubs.cell import Call
from harness.stubs.peer import ScriptedPeer
from harness.workspace import Workspace


@pytest.fixture
def session() -> Iterator[Session]:
    with closing(Session()) as made:
        yield made


@pytest.fixture
def cluster(session: Session) -> Iterator[Cluster]:
    with Cluster(Workspace({}, "nobody"), seed=1, session=session) as made:
        yield made


def _until(actors: Actors) -> bool:
    deadline = Deadline(20.0)
    while not actors.rest() and not deadline.passed():
        time.sleep(0.001)
    return actors.rest()


def test_an_actor_is_at_work_until_it_waits_for_what_has_not_come() -> None:
    actors, go, taken, done = Actors(), threading.Event(), threading.Event(), threading.Event()
    here, there = socket.socketpair()

    def play() -> None:
        go.wait(20)
        actors.await_readable(there, Deadline(20.0))
        taken.wait(20)
        there.recv(1)
        done.set()

    with here, there:
        assert actors.rest()
        assert not actors
        actors.start(play, "actor")
        assert actors
        assert not actors.rest(), "its thread may not even run yet"
        go.set()
        assert _until(actors)
        here.send(b"x")
        assert not actors.rest(), "a byte is there, whether or not the thread has noticed"
        time.sleep(0.05)
        assert not actors.rest(), "it has noticed, and not taken it"
        taken.set()
        assert done.wait(20)
        assert _until(actors)


def test_a_wait_that_ends_in_vain_makes_an_actor_work_again() -> None:
    actors, waited, end = Actors(), threading.Event(), threading.Event()
    here, there = socket.socketpair()

    def play() -> None:
        actors.await_readable(there, Deadline(0.01))
        waited.set()
        end.wait(20)

    with here, there:
        actors.start(play, "actor")
        assert waited.wait(20)
        assert not actors.rest()
        end.set()
        assert _until(actors)
        actors.await_readable(there, Deadline(20.0))  # who is no actor does not wait here


def test_nothing_is_quiet_while_a_stub_is_at_work(cluster: Cluster, session: Session) -> None:
    begun, end = threading.Event(), threading.Event()

    def slow(path: str) -> dict[str, list[str]]:
        begun.set()
        end.wait(20)
        return {"paths": [path]}

    client = ScriptedPeer(cluster, "client")
    ScriptedPeer(cluster, "server", {"list": slow})
    call = Call(
        lambda: client.ask("server", "list", {"path": "/"}, patience=20.0), "list", cluster, actor=True
    )
    assert begun.wait(20)
    quiet = Quiet(cluster.network, session, cluster.time, cluster.advance)
    for _ in range(20):
        assert not quiet.holds()
    end.set()
    assert cluster.await_quiet(lambda: call.done)
    assert call.result() == {"paths": ["/"]}


def test_a_call_that_waits_for_what_is_held_up_is_quiet(cluster: Cluster) -> None:
    client = ScriptedPeer(cluster, "client")
    ScriptedPeer(cluster, "server", {"list": lambda path: {"paths": []}})
    held = cluster.network.hold(Aim("list", "request", times=None))
    call = Call(
        lambda: client.ask("server", "list", {"path": "/"}, patience=20.0), "list", cluster, actor=True
    )
    assert not cluster.await_quiet(lambda: call.done)
    assert held.frames, "it was quiet before the request had even been sent"
    cluster.network.release(held)
    assert cluster.await_quiet(lambda: call.done)


def test_what_ends_while_all_come_to_rest_has_ended(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = threading.Event()

    def holds(quiet: Quiet) -> bool:
        ended.set()  # by somebody who rests from then on
        return True

    monkeypatch.setattr(Quiet, "holds", holds)
    assert cluster.await_quiet(ended.is_set)


def test_who_never_rests_is_waited_for_once(
    cluster: Cluster, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.quiet.SECOND_PATIENCE", 0.1)
    session.rest_patience = 0.2
    end = threading.Event()
    cluster.network.actors.start(lambda: end.wait(60), "restless")
    before = time.monotonic()
    assert not cluster.await_quiet()
    assert time.monotonic() - before >= 0.2
    looks: list[bool] = []

    def over() -> bool:
        looks.append(True)
        return False

    assert not cluster.await_quiet(over, restless=0.0)
    assert len(looks) <= 2

    # Nobody knows yet that the next cluster's do not rest either, but it is no surprise.
    with Cluster(Workspace({}, "nobody"), seed=2, session=session) as another:
        another.network.actors.start(lambda: end.wait(60), "restless")
        looks.clear()
        assert not another.await_quiet(over, restless=0.0)
        assert len(looks) > 2
        assert session.rest_patience == 0.1
    end.set()

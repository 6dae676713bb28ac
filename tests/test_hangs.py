"""What never comes is not waited for: when everybody sleeps, time jumps, and once it has, nothing happens any more.

Patience is far longer in these tests than a run of them may take: who waits for its end has failed.
"""

from __future__ import annotations

import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from harness.cluster import Cluster
from harness.failures import NOTHING_HAPPENS, LabFailure
from harness.network.faults import Aim
from harness.processes.session import Session
from harness.quiet import Quiet
from harness.restless import SECOND_SHARE
from harness.stubs.cell import Call
from harness.stubs.peer import ScriptedPeer
from harness.workspace import Workspace

FOREVER = 600.0


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    monkeypatch.setattr("harness.quiet.SOON", 0.2)
    monkeypatch.setattr("harness.quiet.GLANCE", 0.005)
    with closing(Session()) as session, Cluster(Workspace({}, "nobody"), 1, session=session) as made:
        made.add("n", "idle")
        made.start("n")
        yield made


def asker(cluster: Cluster) -> ScriptedPeer:
    """A client of a server whose answers are lost."""
    ScriptedPeer(cluster, "server", {"list": lambda path: {"paths": []}})
    cluster.network.drop(Aim("list", "reply", times=None))
    return ScriptedPeer(cluster, "client")


def test_what_needs_time_gets_as_much_as_would_pass(cluster: Cluster) -> None:
    before = cluster.now()
    cluster.call("n", "sleep", seconds=500.0, patience=FOREVER)
    assert 500 <= cluster.now() - before < FOREVER


def test_time_passes_as_fast_as_it_was_to_pass(cluster: Cluster) -> None:
    cluster.set_rate(20.0)
    cluster.call("n", "sleep", seconds=19 * FOREVER, patience=FOREVER)


def test_what_needs_more_time_than_would_pass_has_failed(cluster: Cluster) -> None:
    with pytest.raises(LabFailure, match=f"sleep on n gave no answer{NOTHING_HAPPENS}"):
        cluster.call("n", "sleep", seconds=FOREVER + 1000.0, patience=FOREVER)


def test_nothing_helps_where_time_stands_still(cluster: Cluster) -> None:
    cluster.set_rate(0.0)
    before = cluster.now()
    with pytest.raises(LabFailure, match=f"sleep on n gave no answer{NOTHING_HAPPENS}"):
        cluster.call("n", "sleep", seconds=0.5, patience=FOREVER)
    with pytest.raises(LabFailure, match=f"a wonder did not happen{NOTHING_HAPPENS}"):
        cluster.until(lambda: False, "a wonder", FOREVER)
    with pytest.raises(LabFailure, match=f"n was to crash but did not{NOTHING_HAPPENS}"):
        cluster.wait_dead("n", FOREVER)
    client = asker(cluster)
    with pytest.raises(LabFailure, match=f"server gave no answer to list{NOTHING_HAPPENS}"):
        client.ask("server", "list", {"path": "/"}, patience=FOREVER)
    assert cluster.now() == before


def test_a_call_under_way_is_not_waited_for_either(cluster: Cluster) -> None:
    cluster.set_rate(0.0)
    client = asker(cluster)
    call = Call(
        lambda: client.ask("server", "list", {"path": "/"}, patience=FOREVER), "list", cluster, actor=True
    )
    with pytest.raises(LabFailure, match=f"list gave no answer{NOTHING_HAPPENS}"):
        call.result(FOREVER)


def test_who_is_stopped_does_not_sleep(cluster: Cluster) -> None:
    cluster.set_rate(0.0)
    cluster.pause("n")
    pending = cluster.begin("n", "now")
    with pytest.raises(LabFailure, match=r"now on n gave no answer within 0.9 s of real time"):
        cluster.result("n", pending, 0.9)
    cluster.resume("n")
    assert cluster.result("n", pending) == cluster.now()


def test_somebody_beside_may_do_something_any_moment(cluster: Cluster) -> None:
    cluster.set_rate(0.0)
    done = threading.Event()

    def later() -> dict[str, str]:
        time.sleep(1.0)
        done.set()
        return {}

    Call(later, "what comes later", cluster)
    cluster.until(done.is_set, "what comes later", FOREVER)


def test_who_does_not_drive_the_cluster_does_not_touch_its_time(cluster: Cluster) -> None:
    cluster.set_rate(0.0)
    told = list[str]()
    thread = threading.Thread(target=lambda: told.append(cluster.await_event(lambda seconds: False, 0.9)))
    thread.start()
    thread.join()
    assert told == [" within 0.9 s of real time"]


def test_what_comes_while_we_look_has_come(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster.set_rate(0.0)
    looked = False

    def asleep(quiet: Quiet) -> bool:
        nonlocal looked
        looked = True
        return True

    monkeypatch.setattr(Quiet, "asleep", asleep)
    assert cluster.await_event(lambda seconds: looked, FOREVER) == ""


SPINS = """
    import threading

    threads = []

    def wait_for_more():
        while len(threads) < 2:
            pass

    def start(ctx):
        threads.append(threading.Thread(target=wait_for_more, daemon=True))
        threads[0].start()
"""


def test_who_spins_meanwhile_is_told_with_its_place(tmp_path: Path) -> None:
    package = tmp_path / "gfs_master"
    package.mkdir()
    (package / "__init__.py").write_text(textwrap.dedent(SPINS))
    with closing(Session()) as session:
        session.most_effort, session.effort_share = 0.1, 0.8 / FOREVER
        with Cluster(Workspace({"gfs_master": tmp_path}, "a test"), 1, session=session) as cluster:
            cluster.add("master", "master")
            cluster.start("master")
            with pytest.raises(LabFailure, match=r"^master does not rest$") as caught:
                cluster.until(lambda: False, "a wonder", FOREVER)
    assert caught.value.seen is not None
    assert 0.8 <= float(caught.value.seen.split()[0]) < FOREVER / 2
    assert str(caught.value.witness).endswith("in wait_for_more")
    assert session.effort_share == SECOND_SHARE

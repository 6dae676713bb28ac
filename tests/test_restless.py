"""Wrong code that never rests is told as that, and quickly: it makes the machine busy, but is no busy machine."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from harness.cluster import Cluster
from harness.failures import LabFailure, TooBusy
from harness.gfs import Gfs
from harness.patience import Deadline
from harness.processes.session import Session
from harness.workspace import Workspace

SPINS = """
    import queue, threading

    jobs = queue.SimpleQueue()

    def next_job():
        while True:
            try:
                return jobs.get_nowait()
            except queue.Empty:
                pass

    def start(ctx):
        threading.Thread(target=jobs.get, daemon=True).start()
        threading.Thread(target=next_job, daemon=True).start()
"""
WAITS = SPINS.replace("target=next_job", "target=jobs.get")


@contextmanager
def master(tmp_path: Path, text: str, session: Session) -> Iterator[Cluster]:
    """A cluster whose only node is a master of this text."""
    package = tmp_path / "gfs_master"
    package.mkdir(exist_ok=True)
    (package / "__init__.py").write_text(textwrap.dedent(text))
    with Cluster(Workspace({"gfs_master": tmp_path}, "a test"), 1, session=session) as cluster:
        cluster.add("master", "master")
        cluster.start("master")
        yield cluster


def test_a_node_that_spins_is_told_with_its_place(tmp_path: Path) -> None:
    with closing(Session()) as session:
        effort = session.most_effort
        with master(tmp_path, SPINS, session) as cluster, pytest.raises(LabFailure) as caught:
            cluster.await_quiet()
        assert caught.value.message == "master does not rest"
        witness = str(caught.value.witness)
        assert witness.startswith("its busiest thread is at gfs_master/__init__.py line ")
        assert witness.endswith(", in next_job")
        assert session.most_effort < effort


@contextmanager
def spinning(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    used: Sequence[float],
    *,
    starved: bool,
    most: float = 0.8,
) -> Iterator[Cluster]:
    """A cluster whose master spins, on a machine that says how much processor it has `used`; the last is said again."""
    said = iter(used[:-1])
    monkeypatch.setattr(Deadline, "starved", starved)
    monkeypatch.setattr("harness.processes.linux.processor_seconds", lambda pid: next(said, used[-1]))
    with closing(Session()) as session:
        session.rest_patience, session.most_effort = 1.0, most
        with master(tmp_path, SPINS, session) as cluster:
            yield cluster


@pytest.mark.parametrize("starved", [True, False])
def test_a_node_that_spins_on_a_busy_machine_is_told_from_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, starved: bool
) -> None:
    """Others take the processor: it never comes to what no node needs, but still to much more than one that rests."""
    with (
        spinning(tmp_path, monkeypatch, [0.0, 0.6], starved=starved) as cluster,
        pytest.raises(LabFailure, match="does not rest"),
    ):
        cluster.await_quiet()


def test_a_machine_that_stood_still_is_no_node_that_spins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that time may be charged to whoever happened to run."""
    with spinning(tmp_path, monkeypatch, [0.0, 1000.0], starved=False, most=1.2) as cluster:
        assert not cluster.await_quiet()


def test_a_machine_that_gives_a_node_nothing_is_too_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with spinning(tmp_path, monkeypatch, [0.6], starved=True) as cluster, pytest.raises(TooBusy):
        cluster.await_quiet()


def test_a_node_that_waits_rests(tmp_path: Path) -> None:
    with closing(Session()) as session, master(tmp_path, WAITS, session) as cluster:
        session.most_effort = 0.2
        assert not cluster.await_quiet()
        assert session.rest_patience == 10.0, "it was not seen to rest"


def test_who_asks_without_a_rest_is_named(tmp_path: Path) -> None:
    solution = Workspace.solution()
    shutil.copytree(solution.roots["consistency"] / "consistency", tmp_path / "consistency")
    appender = tmp_path / "consistency" / "appender.py"
    text = appender.read_text()
    assert "self._ctx.clock.sleep(pause)" in text
    appender.write_text(text.replace("self._ctx.clock.sleep(pause)", "pass"))
    workspace = replace(solution, roots={**solution.roots, "consistency": tmp_path})
    with Cluster(workspace, 1) as cluster:
        gfs = Gfs(cluster)
        primary, _ = gfs.begin("/log")
        gfs.crash(primary)
        with pytest.raises(LabFailure, match="c2 asks without a rest") as caught:
            gfs.finish(gfs.workload.append("c2", "/log"))
    assert str(caught.value.seen).endswith("virtual seconds")

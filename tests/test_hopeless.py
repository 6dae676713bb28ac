"""On a machine too busy for an answer in time: what nothing can bring any more is a failure, and whatever may still come an error."""

from __future__ import annotations

import textwrap
import threading
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from harness.cluster import Cluster
from harness.failures import LabFailure, TooBusy
from harness.network.raw import RawPeer
from harness.patience import LONG_WAIT, Deadline
from harness.processes.session import Session
from harness.workspace import Workspace

STUCK = """
    import threading

    def wait():
        threading.Event().wait()

    def take(listener):
        kept = [listener.accept()]
        wait()

    def start(ctx):
        threading.Thread(target=take, args=[ctx.network.listen()], daemon=True).start()
"""
AT_WORK = STUCK.replace("threading.Event().wait()", "while True: pass")


@contextmanager
def busy_master(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> Generator[Cluster]:
    """A master that never answers, where patience never suffices."""
    package = tmp_path / "gfs_master"
    package.mkdir()
    (package / "__init__.py").write_text(textwrap.dedent(text))
    with closing(Session()) as session:
        session.most_effort = 1000.0
        workspace = Workspace({"gfs_master": tmp_path}, "a test")
        with Cluster(workspace, 1, session=session) as cluster:
            cluster.add("master", "master")
            cluster.start("master")
            monkeypatch.setattr("harness.quiet.SOON", 0.5)
            monkeypatch.setattr(Deadline, "starved", property(lambda wait: wait.seconds >= LONG_WAIT))
            yield cluster


def test_no_answer_from_who_waits_for_ever_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with busy_master(tmp_path, monkeypatch, STUCK) as cluster:
        never = threading.Event()
        assert not cluster.comes(lambda seconds: Deadline(seconds).wait(never), LONG_WAIT)
        connection = RawPeer(cluster.network).connect("master")
        with connection, pytest.raises(LabFailure, match="master sent no whole frame"):
            connection.receive(LONG_WAIT)


def test_no_answer_from_who_is_at_work_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with busy_master(tmp_path, monkeypatch, AT_WORK) as cluster:
        connection = RawPeer(cluster.network).connect("master")
        with connection, pytest.raises(TooBusy):
            connection.receive(LONG_WAIT)


def test_what_has_come_meanwhile_has_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wait that ends for want of the processor is no proof that nothing has come since."""
    with busy_master(tmp_path, monkeypatch, STUCK) as cluster:
        looks = iter([TooBusy("this machine was too busy"), True])

        def wait(seconds: float) -> bool:
            look = next(looks)
            if isinstance(look, TooBusy):
                raise look
            return look

        with pytest.raises(TooBusy):
            cluster.comes(wait, LONG_WAIT)

"""pytest fixtures of graded tests: clusters on one warm session, and nothing left behind afterwards.

A failure is told what else went wrong in the nodes of its test, before anybody reports it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from typing import Any

import pytest

from harness.cluster import Cluster
from harness.explore import Explorer, Schedule
from harness.failures import BROKEN, NOT_IMPLEMENTED, LabFailure, TooBusy
from harness.grading.outcome import DeadlineExceeded
from harness.outputs import keep_output
from harness.processes.session import Session
from harness.troubles import (
    LAST,
    blame,
    first_oddity,
    handler_failed,
    standing,
    to_do,
    to_write,
    troubles,
    while_waiting,
)
from harness.workspace import Workspace
from labkit.errors import HandlerFailed, LabError

MakeCluster = Callable[..., Cluster]
MakeExplorer = Callable[..., Explorer]
CLUSTERS: pytest.StashKey[list[Cluster]] = pytest.StashKey()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Add to a failure what is known of the nodes: they are gone when it is reported.

    A test may stumble over a message that is not what the protocol says; that is no fault of the harness.
    """
    clusters = item.stash.get(CLUSTERS, list[Cluster]())
    try:
        return (yield)
    except LabFailure as failure:
        for cluster in clusters:
            blame(cluster, failure, _part(item))
        raise
    except (TooBusy, DeadlineExceeded) as late:
        if missing := next(filter(None, (to_do(cluster, _part(item)) for cluster in clusters)), ""):
            raise LabFailure(missing, kind=NOT_IMPLEMENTED) from late
        known = [text for cluster in clusters for text in (*troubles(cluster), *while_waiting(cluster))]
        late.known = "\n".join(known)
        late.stands = "\n".join(line for cluster in clusters for line in standing(cluster))
        raise
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, LabError) as stumble:
        if isinstance(stumble, LabError) and (missing := to_write(str(stumble))):
            raise LabFailure(missing, kind=NOT_IMPLEMENTED) from stumble
        for cluster in clusters:
            # By itself, or as what another node met and passed on.
            if isinstance(stumble, HandlerFailed) or HandlerFailed.__name__ in str(stumble):
                cluster.await_news()
                said, calls = handler_failed(cluster)
                if said:
                    raise LabFailure(said, witness=calls or None, kind=BROKEN) from stumble
            if odd := first_oddity(cluster):
                raise LabFailure(odd, expected="what docs/protocol.md says", kind=BROKEN) from stumble
        raise
    finally:
        if kept := keep_output(clusters, item.path.parent.parent.name, item.name):
            item.user_properties.append(("trace", kept))


def _part(item: pytest.Item) -> str:
    """ "lab 3 part C" for a test in 03_chunkserver/tests/test_c_order.py."""
    named = re.search(r"0(\d)_\w+/tests/test_([a-z])_", item.path.as_posix())
    return f"lab {named[1]} part {named[2].upper()}" if named else LAST


@pytest.fixture(scope="session")
def node_session() -> Generator[Session]:
    """The process that forks nodes, one for the whole run."""
    session = Session()
    try:
        yield session
    finally:
        session.close()


@pytest.fixture
def make_cluster(
    request: pytest.FixtureRequest, node_session: Session, workspace: Workspace, seed: int
) -> Generator[MakeCluster]:
    """`make_cluster(rate=…, limits=…)`: a Cluster of the code under test, closed at the end of the test."""
    made: list[Cluster] = []
    request.node.stash[CLUSTERS] = made

    def make(**options: Any) -> Cluster:
        chosen = options.pop("workspace", workspace)
        cluster = Cluster(chosen, options.pop("seed", seed + len(made)), session=node_session, **options)
        made.append(cluster)
        return cluster

    try:
        yield make
    finally:
        for cluster in made:
            request.node.user_properties.append(("faults", cluster.crashes + cluster.network.injected))
            cluster.close()
        made.clear()  # the test's own object lives until the end of the run


@pytest.fixture
def cluster(make_cluster: MakeCluster) -> Cluster:
    """One Cluster with the defaults."""
    return make_cluster()


@pytest.fixture
def make_explorer(
    request: pytest.FixtureRequest, node_session: Session, workspace: Workspace, seed: int
) -> Generator[MakeExplorer]:
    """`make_explorer(strict=…, model=…)`: an Explorer of the code under test. What it covers goes into the report."""
    made: list[Explorer] = []

    def make(**options: Any) -> Explorer:
        base = Schedule(seed & 0xFFFFFFFF, **options)
        made.append(
            Explorer(lambda drawn: Cluster(workspace, drawn, session=node_session), base, workspace.options)
        )
        return made[-1]

    yield make
    for explorer in made:
        request.node.user_properties.append(("faults", explorer.coverage.strikes))
        request.node.user_properties.append(("points", len(explorer.coverage.points)))

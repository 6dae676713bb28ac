"""The language of scenarios: what makes no sense is said in a sentence, and every word does what it says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from harness.cluster import Cluster
from harness.failures import LabFailure
from harness.gfs import Gfs
from harness.network.faults import Drop, Hold, Partition
from harness.scenario import FORMS, MOST_STEPS, Scenario, read_steps, reference
from harness.workspace import Workspace

NODES = {"master": "master", "c1": "c1", "c2": "c2", "primary": "cs2", "secondary1": "cs1"}


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        (None, "a scenario is a list of steps"),
        ("heal", "a scenario is a list of steps"),
        ([["heal"]] * (MOST_STEPS + 1), f"{MOST_STEPS + 1} steps"),
        (["heal"], "step 1 begins with no word"),
        ([["heal"], []], "step 2 begins with no word"),
        ([["drop"]], "step 1 begins with no word"),
        ([[["heal"]]], "step 1 begins with no word"),
        ([["append"]], "step 1 has 0 arguments"),
        ([["heal", "c1"]], "step 1 has 1 arguments"),
        ([["append", "primary"]], "'primary' is no client"),
        ([["crash", "cs9"]], "'cs9' is no node"),
        ([["crash", ["primary"]]], "is no node"),
        ([["pass", "long"]], "'long' is no seconds"),
        ([["pass", 0]], "0 is no seconds"),
        ([["pass", True]], "True is no seconds"),
        ([["pass", float("nan")]], "nan is no seconds"),
        ([["pass", 1e9]], "is no seconds"),
        ([["lose", "answer", "append", "primary", "c1", 1]], "'answer' is no request or reply"),
        ([["lose", "reply", "append", "primary", "c1", 0]], "0 is no count"),
        ([["lose", "reply", None, "primary", "c1", 1]], "None is no method"),
        ([["partition", ["c1"], "primary"]], "'primary' is no nodes"),
        ([["partition", ["c1"], ["cs9"]]], "is no nodes"),
        ([["partition", ["c1"], [["c1"]]]], "is no nodes"),
        ([["scan", "c1", "stale"]], "'stale' is no cached or fresh"),
        ([["append", "c1"], ["append", "c2"], ["scan", "c1", "fresh"]], "c1 may still be busy"),
    ],
)
def test_nonsense_is_said_in_a_sentence(steps: Any, says: str) -> None:
    with pytest.raises(LabFailure) as failure:
        read_steps(steps, NODES)
    assert says in failure.value.message
    assert failure.value.expected and failure.value.seen


def test_nodes_are_read_as_who_they_are() -> None:
    steps = [["partition", ["primary", "c1"], ["master"]], ["lose", "reply", "append", "primary", "c1", 2]]
    assert read_steps(steps, NODES) == [
        ("partition", [["cs2", "c1"], ["master"]]),
        ("lose", ["reply", "append", "cs2", "c1", 2]),
    ]


def test_a_client_may_go_on_after_a_wait() -> None:
    steps = [["append", "c1"], ["wait"], ["append", "c1"]]
    assert [word for word, _ in read_steps(steps, NODES)] == ["append", "wait", "append"]


def test_the_reference_is_used_when_it_is_there() -> None:
    assert reference(Workspace.labs()).implementation == "solution"


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with Cluster(Workspace.solution(), seed=1) as cluster:
        yield cluster


def test_every_word_does_what_it_says(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = Scenario(Gfs(cluster))
    faults: list[type[Any]] = []
    add = cluster.network.add

    def adding(*added: Any) -> None:
        faults.extend(map(type, added))
        add(*added)

    monkeypatch.setattr(cluster.network, "add", adding)
    steps = [
        ["hold", "reply", "append", "primary", "c1", 1],
        ["append", "c1"],
        ["pass", 2.0],
        ["release"],
        ["wait"],
        ["write", "c1", 4000, 192],
        ["wait"],
        ["lose", "request", "lookup", "c2", "master", 1],
        ["scan", "c2", "fresh"],
        ["partition", ["secondary2"], ["primary", "master"]],
        ["append", "c1"],
        ["pass", 3],
        ["heal"],
        ["wait"],
        ["scan", "c2", "cached"],
        ["crash", "secondary1"],
        ["restart", "secondary1"],
        ["crash", "secondary1"],
    ]
    assert {str(step[0]) for step in steps} == set(FORMS)
    scenario.run(steps)
    assert faults == [Hold, Drop, Partition]
    assert cluster.crashes == 2 and all(node.alive for node in cluster.nodes.values())
    assert scenario.gfs.judge("/log", "/page").valid
    history = scenario.gfs.history
    assert history is not None
    assert [scan.opened for scan in history.scans] == [True, False, True, True]
    assert len(history.appends) == 5 and len(history.writes) == 1
    assert "crash cs" in "".join(fault.what for fault in history.faults)

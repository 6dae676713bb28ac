"""Lab 4 part D: what GFS allows, made to happen by the student's events on a GFS that is correct."""

from __future__ import annotations

from harness.checker.verdict import Verdict
from harness.cluster import Cluster
from harness.fixtures import MakeCluster
from harness.gfs import Gfs
from harness.grading import claim, expect
from harness.scenario import LOG, Scenario, reference


def outcome(name: str, cluster: Cluster, make_cluster: MakeCluster) -> Verdict:
    """What a scenario of the student does to the reference."""
    cluster.add("author", "scenarios")
    cluster.start("author")
    steps = cluster.call("author", "steps", name=name)
    scenario = Scenario(Gfs(make_cluster(workspace=reference(cluster.workspace))))
    scenario.run(steps)
    return scenario.gfs.judge(LOG)


@claim(
    "Your events leave a record in the file twice, on a GFS that is correct",
    hint="the record has to be everywhere while its client still waits for the answer",
    read="labs/04_consistency/README.md#part-d-make-it-go-wrong",
)
def test_duplicate_record(cluster: Cluster, make_cluster: MakeCluster) -> None:
    statistics = outcome("duplicate_record", cluster, make_cluster).statistics
    expect(
        statistics.duplicates > 0,
        "no record is in the file twice after your events",
        expected="at least one duplicate",
        seen=f"{statistics.placements} records stored, {statistics.duplicates} of them copies of another",
    )
    expect(
        statistics.inconsistent_bytes == 0,
        "there is a duplicate, but replicas differ as well",
        expected="every copy on all replicas",
        seen=f"{statistics.inconsistent_bytes} bytes in which replicas differ",
        why="this is about an append that succeeded unheard, not about one that failed on some replica",
    )


@claim(
    "Your events leave a region in which replicas differ, on a GFS that is correct",
    hint="some replicas have to do a mutation that another never hears of",
    read="labs/04_consistency/README.md#part-d-make-it-go-wrong",
)
def test_inconsistent_region(cluster: Cluster, make_cluster: MakeCluster) -> None:
    statistics = outcome("inconsistent_region", cluster, make_cluster).statistics
    expect(
        statistics.inconsistent_bytes > 0,
        "all replicas agree everywhere after your events",
        expected="at least one inconsistent region",
        seen=f"{statistics.replicas_current} current replicas, {statistics.inconsistent_bytes} bytes that differ",
        why="a replica that was away while others went on counts no more: its version is old",
    )

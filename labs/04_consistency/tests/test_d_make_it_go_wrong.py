"""Lab 4 part D: what GFS allows, made to happen by the student's events on a GFS that is correct."""

from __future__ import annotations

from harness.checker import Name, Verdict
from harness.cluster import Cluster
from harness.fixtures import MakeCluster
from harness.gfs import Gfs
from harness.grading import claim, expect
from harness.scenario import LOG, PAGE, Scenario, contradicting_readers, reference


def played(name: str, cluster: Cluster, make_cluster: MakeCluster) -> Gfs:
    """The reference after a scenario of the student."""
    cluster.add("author", "scenarios")
    cluster.start("author")
    steps = cluster.call("author", "steps", name=name)
    scenario = Scenario(Gfs(make_cluster(workspace=reference(cluster.workspace))))
    scenario.run(steps)
    return scenario.gfs


def outcome(name: str, cluster: Cluster, make_cluster: MakeCluster) -> Verdict:
    """What a scenario of the student does to the reference."""
    return played(name, cluster, make_cluster).judge(LOG, PAGE)


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


@claim(
    "Your events leave a region in which all replicas agree on what nobody wrote, on a GFS that is correct",
    hint="a write over a chunk boundary is two mutations, with two primaries and two orders",
    read="labs/04_consistency/README.md#part-d-make-it-go-wrong",
)
def test_undefined_region(cluster: Cluster, make_cluster: MakeCluster) -> None:
    statistics = outcome("undefined_region", cluster, make_cluster).statistics
    expect(
        statistics.undefined_bytes > 0,
        "every byte is as one of the writes left it, after your events",
        expected="a range that shows one write in one chunk and the other in the next",
        seen=f"{statistics.undefined_bytes} bytes undefined",
    )
    expect(
        statistics.inconsistent_bytes == 0,
        "there is an undefined region, but replicas differ as well",
        expected="consistent, but undefined: all replicas the same",
        seen=f"{statistics.inconsistent_bytes} bytes in which replicas differ",
    )


@claim(
    "Your events make a reader miss what was acknowledged before it began, on a GFS that is correct",
    hint="a replica that is cut off from the master does not know that it is left behind; keep the reader away from the others",
    read="labs/04_consistency/README.md#part-d-make-it-go-wrong",
)
def test_stale_read(cluster: Cluster, make_cluster: MakeCluster) -> None:
    verdict = outcome("stale_read", cluster, make_cluster)
    stale = [one for one in verdict.standing.shortfalls if one.name is Name.OUTDATED_READ]
    expect(
        stale,
        "no scan missed anything after your events",
        expected="a scan with cached places, without a record that was acknowledged before it was invoked",
        seen=f"{verdict.statistics.scans} scans, all of them up to date",
        why="within 60 s of opening the file a client may believe in a replica that is not one any more",
    )


@claim(
    "Your events make two readers see two records in different orders, on a GFS that is correct",
    hint="one replica lacks the first of two copies: for its readers the record comes later",
    read="labs/04_consistency/README.md#part-d-make-it-go-wrong",
)
def test_contradicting_orders(cluster: Cluster, make_cluster: MakeCluster) -> None:
    gfs = played("contradicting_orders", cluster, make_cluster)
    yours = gfs.collect(
        (LOG, PAGE)
    )  # before the last scans of the judge, which may happen to contradict each other
    gfs.judge(LOG, PAGE)
    expect(
        contradicting_readers(yours),
        "all readers saw all records in one order after your events",
        expected="two scans and two records, each read for the first time in another order",
        seen=f"{len(yours.scans)} scans that agree",
    )

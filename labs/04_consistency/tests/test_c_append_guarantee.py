"""Lab 4 part C: the append guarantee under the five kinds of failure.

Each test aims one fault at one protocol point of a few concurrent appends, heals what is to be healed, asks for
progress, and lets the checker judge the whole history.
"""

from __future__ import annotations

from harness.cluster import Cluster
from harness.gfs import Gfs
from harness.grading import claim, expect
from harness.network.faults import Aim, Drop, Partition, Sometimes, When

LOG = "/log"


def running(cluster: Cluster) -> tuple[Gfs, str, list[str]]:
    """A GFS with one record in LOG; its primary and secondaries."""
    gfs = Gfs(cluster)
    return gfs, *gfs.begin(LOG)


def appends(gfs: Gfs, rounds: int = 2) -> None:
    """Both clients append, side by side, until all are through."""
    for _ in range(rounds):
        begun = [gfs.workload.append(client, LOG) for client in gfs.clients]
        gfs.finish(*begun)
        for operation in begun:
            expect(
                operation.acknowledged,
                f"{operation.invoke.client} gave up an append although enough servers are alive to do it",
                expected="an answer in the end: leases run out, dead servers are noticed, messages can be sent again",
            )


@claim(
    "Crash: a primary that dies when a secondary has applied loses no acknowledged record",
    hint="the client must ask again, and the new primary must be one that has everything acknowledged",
    read="labs/04_consistency/README.md#part-c-the-append-guarantee",
)
def test_crash_of_the_primary(cluster: Cluster) -> None:
    gfs, primary, (one, _) = running(cluster)
    fault = When(
        Aim("apply", "reply", sender=one, receiver=primary),
        lambda: gfs.crash(primary, f"when {one} has applied, before the primary hears of it"),
        deliver=False,
    )
    cluster.network.add(fault)
    appends(gfs)
    expect(fault.aim.hits == 1, "the fault was never met: the primary never heard from its secondary")
    gfs.settle()
    gfs.judge(LOG)


@claim(
    "Crash and reboot: servers killed in the middle of a write come back with all they acknowledged",
    hint="what append answered for must have been synced before, data and checksums both",
    read="labs/04_consistency/README.md#part-c-the-append-guarantee",
)
def test_crash_and_reboot_of_a_secondary(cluster: Cluster) -> None:
    gfs, _, (one, other) = running(cluster)
    for victim, when in ((one, "half"), (other, "after"), (one, "before")):
        before = len(cluster.operations(victim))
        appends(gfs, rounds=1)
        steps = cluster.operations(victim)[before:]
        syncs = [number for number, step in enumerate(steps, start=1) if step["what"] == "sync"]
        # What two appends did a moment ago, two more will do again: aim at the last sync, or the last step.
        aim = (syncs or [len(steps)])[-1]
        gfs.note(f"{victim} is to die {when} its disk operation {aim} from now")
        cluster.crash_at(victim, max(1, aim), when)
        under_way = [gfs.workload.append(client, LOG) for client in gfs.clients]
        cluster.until(
            lambda: not cluster.nodes[victim].alive or all(one.done.is_set() for one in under_way),  # noqa: B023
            f"the death of {victim} or the end of two appends",
        )
        gfs.note(f"{victim} is rebooted with its disk")
        cluster.restart(victim)
        gfs.finish(*under_way)
    # A clone is synced whole: only when none is owed any more do the last records depend on their own sync alone.
    gfs.settle()
    appends(gfs, rounds=1)
    for name in gfs.chunkservers:
        gfs.crash(name, "together with all chunkservers: the power failed")
    cluster.start(*gfs.chunkservers)
    gfs.note("all chunkservers are rebooted with their disks")
    gfs.settle()
    gfs.judge(LOG)


@claim(
    "Crash and replacement: an empty server under an old name is no replica of anything",
    hint="what a chunkserver stores is what it reports, not what the master remembers of its name",
    read="labs/04_consistency/README.md#part-c-the-append-guarantee",
)
def test_crash_and_replacement_of_a_secondary(cluster: Cluster) -> None:
    gfs, primary, (one, _) = running(cluster)
    fault = When(
        Aim("apply", "reply", sender=one, receiver=primary),
        lambda: gfs.crash(one, "when it has applied, before the primary hears of it"),
        deliver=False,
    )
    cluster.network.add(fault)
    under_way = [gfs.workload.append(client, LOG) for client in gfs.clients]
    cluster.until(lambda: not cluster.nodes[one].alive, f"an append that reaches {one}")
    gfs.note(f"replace {one} by an empty server")
    cluster.replace(one)
    gfs.finish(*under_way)
    appends(gfs)
    gfs.settle()
    gfs.judge(LOG)


@claim(
    "Message loss: lost replies and random loss make duplicates at most, never a lost record",
    hint="after a silence the record may be there or not: append again, and keep the record's identity",
    read="labs/04_consistency/README.md#part-c-the-append-guarantee",
)
def test_message_loss(cluster: Cluster) -> None:
    gfs, primary, _ = running(cluster)
    lost = Drop(Aim("append", "reply", sender=primary, times=8))
    cluster.network.add(lost)
    gfs.note("lose the next 8 replies of the primary to append")
    appends(gfs, rounds=1)
    expect(lost.aim.hits >= 1, "the fault was never met: the primary never answered an append")
    cluster.network.heal()
    gfs.note("lose one frame in ten, on every link")
    cluster.network.add(Sometimes(cluster.rng, 0.1, Drop(Aim(times=None))))
    appends(gfs, rounds=3)
    gfs.settle()
    gfs.judge(LOG)


@claim(
    "Partition: a primary cut off from master and replicas acknowledges nothing the others do not have",
    hint="a primary may answer only when every replica of its version has applied; and only while its lease lasts",
    read="labs/04_consistency/README.md#part-c-the-append-guarantee",
)
def test_partition_of_the_primary(cluster: Cluster) -> None:
    gfs, primary, secondaries = running(cluster)
    cut = Partition([primary, "c1"], ["master", "c2", *secondaries])

    def cut_off_with_its_client() -> None:
        gfs.note(f"{primary} and c1 are cut off when {primary} is asked to append")
        cluster.network.add(cut)

    fault = When(
        Aim("append", "request", sender="c1", receiver=primary), cut_off_with_its_client, deliver=True
    )
    cluster.network.add(fault)
    cut_off = gfs.workload.append("c1", LOG)
    cluster.until(lambda: fault.aim.hits == 1, "an append request of c1")
    elsewhere = gfs.workload.append("c2", LOG)
    gfs.finish(elsewhere)
    expect(
        elsewhere.acknowledged,
        "the side with master and two replicas made no progress",
        why="once the lease has run out the master can make another replica primary",
    )
    expect(not cut_off.acknowledged, "a primary without any secondary acknowledged an append")
    cluster.network.heal()
    gfs.note("the partition heals")
    gfs.finish(cut_off)
    appends(gfs)
    gfs.settle()
    gfs.judge(LOG)

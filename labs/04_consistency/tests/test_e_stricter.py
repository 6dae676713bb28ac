"""Lab 4 part E: a GFS without duplicates, whatever is lost and whoever dies."""

from __future__ import annotations

from harness.cluster import Cluster
from harness.gfs import Gfs
from harness.grading import claim, expect
from harness.network.faults import Aim, Drop, When
from harness.workload import Operation

LOG = "/log"
MODEL = "gfs+no-duplicates"


def strict(cluster: Cluster) -> Gfs:
    """A GFS of strict chunkservers with one record in LOG."""
    gfs = Gfs(cluster, chunkserver="strict chunkserver")
    gfs.begin(LOG)
    return gfs


def tries_again(gfs: Gfs, append: Operation, times: int) -> None:
    """Wait until its client has sent so many requests more than now, or needs no more."""
    client = append.invoke.client
    enough = gfs.attempts(client) + times
    gfs.pass_until(
        lambda: append.done.is_set() or gfs.attempts(client) >= enough,
        f"{times} more append requests of {client}",
    )


def judge(gfs: Gfs) -> None:
    """The guarantees of GFS, and no duplicates."""
    verdict = gfs.judge(LOG)
    expect(
        MODEL in verdict.standing.satisfied,
        "a record was appended twice",
        expected="each record at one offset, however often its client had to ask",
        seen="; ".join(verdict.standing.reasons),
        why="an identity that the chunk holds already is an append that was done already",
    )


@claim(
    "A record whose answers are lost is appended once, and acknowledged where it is",
    hint="look for the record's identity in your own replica before you append it",
    read="labs/04_consistency/README.md#part-e-stricter",
)
def test_lost_answers_leave_one_copy(cluster: Cluster) -> None:
    gfs = strict(cluster)
    cluster.network.add(Drop(Aim("append", "reply", receiver="c1", times=None)))
    gfs.note("c1 gets no answers to append")
    unheard = gfs.workload.append("c1", LOG)
    tries_again(gfs, unheard, 3)
    gfs.finish(gfs.workload.append("c2", LOG))
    cluster.network.heal()
    gfs.finish(unheard)
    gfs.settle()
    judge(gfs)


@claim(
    "A new primary finds what the old one had appended",
    hint="a primary's memory dies with it, its replica does not: read it when a new version begins",
    read="labs/04_consistency/README.md#part-e-stricter",
)
def test_a_new_primary_finds_what_was_appended(cluster: Cluster) -> None:
    gfs = strict(cluster)
    first = gfs.roles()["primary"]
    answers = When(
        Aim("append", "reply", sender=first, receiver="c1"),
        lambda: gfs.crash(first, "when all replicas have the record, before its client hears of it"),
        deliver=False,
    )
    cluster.network.add(answers)
    unheard = gfs.workload.append("c1", LOG)
    cluster.until(lambda: not cluster.nodes[first].alive, f"the crash of {first}")
    gfs.note(f"reboot {first}")
    cluster.start(first)
    gfs.finish(unheard)
    gfs.finish(gfs.workload.append("c2", LOG))
    second = gfs.roles()
    applies = When(
        Aim("apply", "reply", sender=second["secondary1"], receiver=second["primary"]),
        lambda: gfs.crash(second["primary"], f"when {second['secondary1']} has applied"),
        deliver=False,
    )
    cluster.network.add(applies)
    under_way = [gfs.workload.append(client, LOG) for client in gfs.clients]
    cluster.until(lambda: not cluster.nodes[second["primary"]].alive, f"the crash of {second['primary']}")
    gfs.finish(*under_way)
    gfs.settle()
    judge(gfs)


@claim(
    "A record that only some replicas have is completed on the others, not appended again",
    hint="acknowledge an old record only when every replica has it, and begin nothing new before that",
    read="labs/04_consistency/README.md#part-e-stricter",
)
def test_a_record_is_completed_everywhere(cluster: Cluster) -> None:
    gfs = strict(cluster)
    away = gfs.roles()["secondary2"]
    cluster.network.add(Drop(Aim("apply", "request", receiver=away, times=None)))
    gfs.note(f"{away} hears of no mutation")
    under_way = [gfs.workload.append("c1", LOG)]
    tries_again(gfs, under_way[0], 2)
    under_way.append(gfs.workload.append("c2", LOG))
    tries_again(gfs, under_way[1], 2)
    expect(not any(one.acknowledged for one in under_way), f"a record that {away} lacks was acknowledged")
    cluster.network.heal()
    gfs.note("the network heals")
    gfs.finish(*under_way)
    gfs.settle()
    judge(gfs)


@claim(
    "A record that may be in a chunk stays with that chunk while others fill it",
    hint="the client has to ask where the copy can be recognised: the same chunk, until that is full",
    read="labs/04_consistency/README.md#part-e-stricter",
)
def test_a_record_in_doubt_stays_with_its_chunk(cluster: Cluster) -> None:
    gfs = strict(cluster)
    cluster.network.add(Drop(Aim("append", "reply", receiver="c1", times=None)))
    gfs.note("c1 gets no answers to append")
    unheard = gfs.workload.append("c1", LOG)
    tries_again(gfs, unheard, 1)
    for _ in range(20):
        other = gfs.workload.append("c2", LOG, 900)
        gfs.finish(other)
        if other.acknowledged and other.value >= gfs.limits.chunk_size:
            break
    gfs.note("c2 has filled the chunk")
    gfs.pass_time(gfs.limits.location_cache + 1)
    tries_again(gfs, unheard, 1)
    cluster.network.heal()
    gfs.finish(unheard)
    expect(unheard.acknowledged, "the record was given up although it is in the file")
    gfs.settle()
    judge(gfs)

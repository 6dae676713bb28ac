"""Lab 4 part E: a GFS without duplicates, whatever is lost and whoever dies."""

from __future__ import annotations

from harness import records
from harness.cluster import Cluster
from harness.failures import LabFailure
from harness.gfs import Gfs
from harness.grading import claim, expect
from harness.history import Chunk
from harness.network.faults import Aim, Drop, Partition, When
from harness.truth import MASTER
from harness.workload import Operation
from labkit.errors import RemoteError

LOG = "/log"
KEPT = "/kept"  # a snapshot of LOG
MODEL = "gfs+no-duplicates"
IN_THE_MIDDLE = 3  # disk operations: a change of a replica takes at least two writes and their syncs
PATIENCE = 900.0  # seconds: longer than what is done here while a client gets no answers


def strict(cluster: Cluster, *, clients: int = 2) -> Gfs:
    """A GFS of strict chunkservers with one record in LOG."""
    gfs = Gfs(cluster, chunkserver="strict chunkserver", clients=clients, patience=PATIENCE)
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


def refusal(gfs: Gfs, data: bytes) -> str:
    """The code with which a primary refuses to append bytes to LOG; empty if it does not."""
    try:
        gfs.truth.append_raw(LOG, data)
    except LabFailure as failure:
        if isinstance(failure.__cause__, RemoteError):
            return failure.__cause__.code
        raise
    return ""


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
    nameless = refusal(gfs, records.frame(9, 1, b"whole") + b"and more")
    expect(
        nameless == "bad_arguments",
        "data that is no record was not refused as that",
        expected="bad_arguments: what has no identity cannot be told from its copy",
        seen=nameless or "an offset",
    )
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
    gfs.note(f"reboot {second['primary']}")
    cluster.start(second["primary"])
    primary_again(gfs)
    gfs.settle()
    judge(gfs)


def primary_again(gfs: Gfs) -> None:
    """Who was primary is cut off, gets a replica again that has a record more, and is the only one left."""
    cluster = gfs.cluster
    gfs.recover()
    gfs.finish(gfs.workload.append("c2", LOG))
    old = gfs.roles()["primary"]
    others = [name for name in gfs.chunkservers if name != old]
    cut = Partition([old], [MASTER, *gfs.clients, *others])
    # Errors pass: one of a server that has restarted may have to be heard before it serves c1 at all.
    offsets = Aim("append", "reply", receiver="c1", times=None, only=lambda reply: not reply.failed)
    cluster.network.add(cut, Drop(offsets))
    gfs.note(f"{old} is cut off from everybody; c1 does not hear where its record is")
    unheard = gfs.workload.append("c1", LOG)
    gfs.finish(gfs.workload.append("c2", LOG))
    # Or there would be no record that the old primary does not know of.
    gfs.pass_until(lambda: offsets.hits > 0, f"an append of c1 at the primary after {old}")
    cluster.network.remove(cut)
    gfs.note(f"{old} is back")
    gfs.pass_until(lambda: old in gfs.truth.chunks(LOG)[-1].replicas, f"a new replica on {old}")
    for name in others:
        gfs.crash(name, f"so that {old} is primary again, of a chunk to which another one has appended since")
    cluster.network.heal()
    gfs.finish(unheard)
    expect(unheard.acknowledged, f"c1 gave its record up although {old} has it, and is alive")
    cluster.start(*others)


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
    told_again(gfs)
    gfs.settle()
    judge(gfs)


def told_again(gfs: Gfs) -> None:
    """A new primary tells a secondary what all replicas have, and the secondary dies while it changes its disk."""
    cluster, old = gfs.cluster, gfs.roles()["primary"]
    gfs.finish(last := gfs.workload.append("c2", LOG))
    expect(last.acknowledged, "an append failed although nothing was wrong any more", seen=last.refused)
    gfs.crash(old, "when all replicas have all records")
    told = cluster.network.hold(Aim("apply", "request", times=None))
    appending = gfs.workload.append("c1", LOG)
    gfs.pass_until(lambda: told.first.is_set() or appending.done.is_set(), "a mutation by a new primary")
    if told.frames:
        other = told.frames[0].receiver
        cluster.crash_at(other, IN_THE_MIDDLE, "before")
        gfs.note(f"{other} is to die before its disk operation {IN_THE_MIDDLE} from now")
        cluster.network.release(told)
        gfs.pass_until(
            lambda: not cluster.nodes[other].alive or appending.done.is_set(), f"a mutation on {other}"
        )
        cluster.restart(other)
        gfs.note(f"{other} is rebooted")
        expect(
            last.frame in gfs.truth.stored(LOG, other),
            f"{other} has lost a record that was acknowledged when it was told to write it again",
            expected="a secondary that has those very bytes keeps them",
            seen="its replica without that record",
            why="until it has written them again, one replica less has what was promised to be on all",
        )
    gfs.finish(appending)
    cluster.start(old)


@claim(
    "A record that may be in a chunk stays with that chunk while others fill it",
    hint="the client has to ask where the copy can be recognised: the same chunk, until that is full",
    read="labs/04_consistency/README.md#part-e-stricter",
)
def test_a_record_in_doubt_stays_with_its_chunk(cluster: Cluster) -> None:
    gfs = strict(cluster, clients=3)
    lost = Drop(Aim("apply", "request", receiver=gfs.roles()["secondary2"], times=None))
    refused = When(
        Aim("append", "reply", receiver="c3", only=lambda reply: reply.failed),
        lambda: cluster.network.add(Partition(["c3"], [MASTER, *gfs.chunkservers])),
        deliver=True,
    )
    cluster.network.add(lost, refused, Drop(Aim("append", "reply", receiver="c1", times=None)))
    gfs.note(
        "a secondary hears of no mutation; c3 is cut off when it is told so; c1 gets no answers to append"
    )
    before = gfs.attempts("c3")
    doubtful = gfs.workload.append("c3", LOG)
    gfs.pass_until(
        lambda: refused.aim.hits > 0 or doubtful.done.is_set() or gfs.attempts("c3") > before + 1,
        "an answer to an append that a secondary has not heard of",
    )
    cluster.network.remove(lost)
    unheard = gfs.workload.append("c1", LOG)
    tries_again(gfs, unheard, 1)
    for _ in range(20):
        other = gfs.workload.append("c2", LOG, 900)
        gfs.finish(other)
        if other.acknowledged and other.value >= gfs.limits.chunk_size:
            break
    gfs.note("c2 has filled the chunk")
    first = gfs.truth.chunks(LOG)[0]
    short = [name for name in first.replicas if not full(gfs, first, name)]
    expect(
        not short,
        "an append was refused with chunk_full before the chunk was full on all replicas",
        expected="the rest of the chunk is padding on all of them, and then chunk_full",
        seen=f"not full: {', '.join(short)}",
    )
    gfs.pass_time(gfs.limits.location_cache + 1)
    tries_again(gfs, unheard, 1)
    gfs.truth.snapshot(LOG, KEPT)
    gfs.note(f"a snapshot of {LOG}: who appends to the chunk again gets a copy of it")
    tries_again(gfs, unheard, 1)
    cluster.network.heal()
    gfs.finish(unheard, doubtful)
    for one in (unheard, doubtful):
        expect(one.acknowledged, f"the record of {one.invoke.client} was given up although it is in the file")
    gfs.settle()
    judge(gfs)


def full(gfs: Gfs, chunk: Chunk, name: str) -> bool:
    """Whether the replica of a chunk reaches to its end; so does one whose server does not say."""
    replica = gfs.truth.replica(chunk, name)
    return replica is None or replica.length == gfs.limits.chunk_size

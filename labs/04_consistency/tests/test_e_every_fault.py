"""Lab 4 part E: each measure against its own model, under all the faults of part C, and two with one aimed fault."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, islice, permutations, product
from typing import Any

import pytest

from harness.checker.models import BASE_MODEL
from harness.cluster import Cluster
from harness.explore import Deed, Explorer, Schedule, Strike, survives
from harness.explore.explorer import LONG, MANY
from harness.explore.points import Message
from harness.failures import LabFailure
from harness.fixtures import MakeExplorer
from harness.gfs import LEASED, Gfs
from harness.grading import claim, expect
from harness.network.faults import Aim, Drop, Partition, When
from harness.network.frame import REPLY, REQUEST, Frame
from harness.truth import MASTER

LOG = "/log"
KEPT = "/kept"  # a snapshot of LOG
SLOW_MACHINE = 600
FIVE = (Deed.CRASH, Deed.REBOOT, Deed.REPLACEMENT, Deed.LOSS, Deed.PARTITION)
WHOLE = ("all or none",)
ONCE = (*WHOLE, "no duplicates")
ALL = (*ONCE, "recovery")
MOST_ROUNDS = 8
READING = 8.0  # seconds in which a primary that does not ask the others has long answered
UNHEARD = 4  # transmissions: of a question that is given up, and of the next


def all_faults(explorer: Explorer, deed: Deed, methods: tuple[str, ...], victim: str = "") -> None:
    """Three strikes of each kind, drawn by the seed; three pairs of them; and most of what can befall these messages."""
    singles = chain.from_iterable(islice(explorer.singles(kind, each=1), 3) for kind in FIVE)
    survives(explorer, chain(singles, islice(explorer.pairs(*FIVE), 3)))
    aimed = [
        schedule
        for schedule in explorer.singles(deed)
        for strike in schedule.strikes
        if isinstance(strike.point, Message) and strike.point.method in methods and strike.point.count <= 2
        if strike.victim.startswith(victim) and strike.times in (MANY, 1 if victim else MANY)
    ]
    survives(explorer, aimed[:12])


@pytest.mark.timeout(SLOW_MACHINE)
@claim(
    "No record twice, under every kind of fault",
    hint="an identity that the chunk holds already is an append that was done already",
    read="labs/04_consistency/README.md#part-e-stricter",
)
def test_no_duplicates_under_every_fault(make_explorer: MakeExplorer) -> None:
    all_faults(make_explorer(strict=ONCE, model=f"{BASE_MODEL}+no-duplicates"), Deed.LOSS, ("append",))


@pytest.mark.timeout(SLOW_MACHINE)
@claim(
    "Each record on all replicas or on none, under every kind of fault",
    hint="what is in doubt comes first: nothing new begins before the last piece is on every replica",
    read="labs/04_consistency/README.md#part-e-stricter",
)
def test_all_or_none_under_every_fault(make_explorer: MakeExplorer) -> None:
    explorer = make_explorer(strict=WHOLE, model=f"{BASE_MODEL}+all-or-none")
    all_faults(explorer, Deed.LOSS, ("apply",))
    # Without recovery another record, as long as that one, may come to stand in its place.
    survives(explorer, islice(only_one_has_it(explorer), 4))


@pytest.mark.timeout(SLOW_MACHINE)
@claim(
    "No read is stale, under every kind of fault",
    hint="read from the primary alone, and let it look at its lease when it reads",
    read="labs/04_consistency/README.md#part-e-stricter",
)
def test_no_stale_reads_under_every_fault(make_explorer: MakeExplorer) -> None:
    explorer = make_explorer(strict=(*ALL, LEASED), model=f"{BASE_MODEL}+no-stale-reads")
    # A replica that the servers have left behind, and that clients reach, is what makes reads stale.
    all_faults(explorer, Deed.SPLIT, ("push", "apply"), "secondary")


def only_one_has_it(explorer: Explorer) -> Iterator[Schedule]:
    """The primary dies when one secondary has a client's record, of which the other has not heard; that client is cut off
    then, so that it cannot bring its record back, and the other one appends. Who is who is changed about, and how it dies."""
    secondaries, clients = ("secondary1", "secondary2"), ("c1", "c2")
    for deed, (has, lacks), (owner, other) in product(
        (Deed.CRASH, Deed.REBOOT, Deed.REPLACEMENT), permutations(secondaries), permutations(clients)
    ):
        strikes = (
            # The first makes the owner's record come first.
            Strike(Deed.LOSS, Message(REQUEST, "append", other, "primary")),
            Strike(Deed.LOSS, Message(REQUEST, "apply", "primary", lacks), times=MANY),
            Strike(Deed.PARTITION, Message(REQUEST, "apply", "primary", has), owner, delivered=True),
            Strike(deed, Message(REPLY, "apply", has, "primary"), "primary", seconds=LONG),
        )
        yield replace(explorer.base, strikes=strikes)


@pytest.mark.timeout(SLOW_MACHINE)
@claim(
    "A new primary finds the last operations and brings the others into line, under every kind of fault",
    hint="before its first append a new primary asks every replica what it has behind its own end, and takes that over",
    read="labs/04_consistency/README.md#part-e-stricter",
)
def test_recovery_under_every_fault(make_explorer: MakeExplorer) -> None:
    explorer = make_explorer(strict=ALL, model=f"{BASE_MODEL}+no-duplicates+all-or-none+recovery")
    all_faults(explorer, Deed.CRASH, ("apply",), "primary")
    survives(explorer, only_one_has_it(explorer))


@claim(
    "A client that was cut off with old places does not read what was true before",
    hint="a replica without a lease refuses; the client forgets who was primary and asks again",
    read="labs/04_consistency/README.md#part-e-stricter",
)
def test_a_replica_without_a_lease_is_not_read(cluster: Cluster) -> None:
    cluster.limits.update(
        location_cache=900.0
    )  # longer than a client's patience: an old place has to be forgotten
    gfs = Gfs(cluster, strict=(*ALL, LEASED))
    old, others = gfs.begin(LOG)
    gfs.finish(gfs.workload.scan("c1", LOG, fresh=False))
    gfs.note(f"{old} is cut off from everybody but c1")
    cut = Partition([old], ["master", "c2", *others])
    cluster.network.add(cut)
    gfs.finish(gfs.workload.append("c2", LOG))
    stale = gfs.workload.scan("c1", LOG, fresh=False)
    gfs.finish(stale)
    cluster.network.heal()
    gfs.settle()
    verdict = gfs.judge(LOG)
    expect(stale.acknowledged, "c1 could read nothing, although a new primary reached it all the time")
    expect(
        f"{BASE_MODEL}+no-stale-reads" in verdict.standing.satisfied,
        "a read was stale",
        expected="every record that was acknowledged before the scan began",
        seen="; ".join(verdict.standing.reasons),
    )
    doubt_is_not_read(gfs)
    snapshot_is_read(gfs)


def doubt_is_not_read(gfs: Gfs) -> None:
    """As long as one replica has not heard of a record, no reader is shown it."""
    network = gfs.cluster.network
    # Only then does nobody become primary before it is over, and ask the others.
    gfs.pass_until(
        lambda: len(gfs.truth.chunks(LOG)[-1].replicas) == gfs.limits.replicas, f"a third replica of {LOG}"
    )
    gfs.finish(gfs.workload.append("c2", LOG))
    gfs.finish(counted := gfs.workload.scan("c1", LOG))
    count, away = len(counted.value or ()), gfs.roles()["secondary1"]
    cut = Partition(["c2"], [MASTER, *gfs.chunkservers])
    refused = When(
        Aim("append", "reply", receiver="c2", only=lambda reply: reply.failed),
        lambda: network.add(cut),
        deliver=True,
    )
    lost = Drop(Aim("apply", "request", receiver=away, times=None))
    network.add(refused, lost)
    gfs.note(f"{away} hears of no mutation; c2 is cut off when it is told so")
    before = gfs.attempts("c2")
    doubtful = gfs.workload.append("c2", LOG)
    gfs.pass_until(
        lambda: refused.aim.hits > 0 or doubtful.done.is_set() or gfs.attempts("c2") > before + 1,
        f"an answer to an append that {away} has not heard of",
    )
    reading = gfs.workload.scan("c1", LOG)
    gfs.pass_time(READING)
    expect(
        not reading.acknowledged or len(reading.value) == count,
        f"a reader was shown a record that {away} lacks",
        expected="leased_read completes what is in doubt before it answers; if it cannot, it answers replica_failed",
        seen=f"{len(reading.value)} records, where {count} are on all replicas"
        if reading.acknowledged
        else None,
        why="nobody has promised that record yet: if its primary dies now it may be gone, though it was read",
    )
    network.heal()
    gfs.finish(doubtful, reading)
    expect(
        reading.acknowledged,
        f"a reader gave up although {away} hears of mutations again",
        seen=reading.refused,
    )


def snapshot_is_read(gfs: Gfs) -> None:
    """A chunk that was in a snapshot has no primary; it can be read all the same, as long as it is the file's."""
    gfs.truth.snapshot(LOG, KEPT)
    gfs.note(f"a snapshot of {LOG}: its chunk has no primary any more")
    shared = gfs.workload.scan("c1", LOG, fresh=False)
    gfs.finish(shared)
    expect(
        shared.acknowledged,
        "a file cannot be read since a snapshot of it was taken",
        expected="shared_chunk says that the chunk changes no more: any replica of its version will do",
        seen=shared.refused or None,
    )
    gfs.finish(gfs.workload.append("c2", LOG))
    after = gfs.workload.scan("c1", LOG, fresh=False)
    gfs.finish(after)
    expect(
        after.acknowledged and len(after.value) == len(shared.value) + 1,
        "a record that was appended to the copy of a chunk is not read",
        expected=f"{len(shared.value) + 1} records: whoever reads a shared chunk asks the master first whose it is",
        seen=f"{len(after.value)} records" if after.acknowledged else after.refused,
    )


def appended(gfs: Gfs, client: str, path: str) -> None:
    """A record is appended; a client whose patience is over begins with another one."""
    refused = ""
    for _ in range(MOST_ROUNDS):
        append = gfs.workload.append(client, path)
        gfs.finish(append)
        if append.acknowledged:
            return
        refused = append.refused
    raise LabFailure(
        f"no append to {path} was acknowledged although two replicas are alive", seen=refused or None
    )


class NewRecords:
    """Mutations behind what a file of one chunk holds now. What it holds may be brought to all replicas again first."""

    def __init__(self, gfs: Gfs, path: str) -> None:
        self._end = len(gfs.truth.contents(path))
        self._requests: set[object] = set()

    def is_new(self, request: Frame) -> bool:
        args: Any = request.header.get("args") or {}
        if args.get("offset", 0) < self._end:
            return False
        self._requests.add((request.connection, request.xid))
        return True

    def is_answer(self, reply: Frame) -> bool:
        return (reply.connection, reply.xid) in self._requests


@claim(
    "A record that only one of the others has is not lost when the primary dies",
    hint="whoever becomes primary asks the others before anything else; it may be the one that has less",
    read="labs/04_consistency/README.md#part-e-stricter",
)
def test_a_new_primary_takes_over_what_another_has(cluster: Cluster) -> None:
    gfs = Gfs(cluster, strict=ALL, patience=30.0)
    gfs.begin(LOG)
    path, paths = LOG, [LOG]
    for number in range(MOST_ROUNDS):
        roles = gfs.roles()
        primary, has, lacks = (roles[role] for role in ("primary", "secondary1", "secondary2"))
        told = NewRecords(gfs, path)
        dies = When(
            Aim("apply", "reply", sender=has, receiver=primary, only=told.is_answer),
            lambda primary=primary: gfs.crash(primary, "when one secondary has applied"),
            deliver=False,
        )
        cluster.network.watch(Aim("apply", "request", receiver=has, times=None, only=told.is_new))
        cluster.network.add(Drop(Aim("apply", "request", receiver=lacks, times=None, only=told.is_new)), dies)
        gfs.note(f"{lacks} hears of no mutation")
        given_up = gfs.workload.append("c1", path)
        cluster.until(lambda primary=primary: not cluster.nodes[primary].alive, f"the crash of {primary}")
        gfs.note("c1 is cut off for good, until it gives up")
        cluster.network.add(Partition(["c1"], ["master", *gfs.chunkservers]))
        gfs.finish(given_up)
        cluster.network.heal()
        cluster.network.add(
            Drop(
                Aim(
                    "read",
                    "request",
                    receiver=has,
                    times=UNHEARD,
                    only=lambda one: one.sender in gfs.chunkservers,
                )
            )
        )
        gfs.note(f"{has} does not hear at once what it is asked by another chunkserver")
        appended(gfs, "c2", path)
        successor = gfs.roles()["primary"]
        # That it is in the chunk is what counts; the first replica that the master names is as good as any.
        expect(
            given_up.frame in gfs.truth.contents(path),
            f"a record that {has} had is gone since {successor} is primary",
            expected=f"the record of {given_up}, which a reader of {has} may have seen",
            seen="other records only",
            why="a new primary that does not ask overwrites what others have and it has not",
        )
        gfs.note(f"reboot {primary}")
        cluster.start(primary)
        gfs.settle()
        if successor == lacks:
            break
        # It was the other one: once more, with a chunk that is on all three again.
        path = f"{LOG}{number}"
        paths.append(path)
        cluster.call("c2", "create", path=path)
        appended(gfs, "c2", path)
    gfs.judge(*paths)

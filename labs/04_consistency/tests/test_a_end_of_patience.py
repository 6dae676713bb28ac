"""Lab 4 part A: when a client gives up, and what its error may say."""

from __future__ import annotations

from functools import partial
from typing import Any

from harness.cluster import Cluster
from harness.failures import NOT_IMPLEMENTED
from harness.gfs import Gfs
from harness.grading import claim, expect
from harness.history import Outcome
from harness.network.faults import Aim, Drop, Partition, When
from harness.node import CallRefused
from harness.truth import MASTER

LOG = "/log"
PAGE = "/page"
UNHEARD = (("append", "c1"), ("write", "c3"))
LEAST = 3  # attempts, as patience.py says
MOST_IN_VAIN = 3  # requests of one attempt, whichever replicas it goes to
SHORTEST = 0.25  # seconds of a pause that is not nothing


@claim(
    "Nothing retries for ever, and an error never says that a record is surely not there when it may be",
    hint="patience.py says when to stop; from the first append request on nothing is definite any more",
    read="labs/04_consistency/README.md#part-a-the-client-library",
)
def test_retries_end(cluster: Cluster) -> None:
    gfs = Gfs(cluster, patience=30.0)
    gfs.begin(LOG)
    unanswered = Drop(Aim("append", "reply", receiver="c1", times=None))
    cluster.network.add(unanswered)
    gfs.note("c1 gets no more answers to append")
    before, since = gfs.attempts("c1"), cluster.now()
    silent = gfs.workload.append("c1", LOG)
    gfs.finish(silent)
    expect(
        silent.outcome is Outcome.UNKNOWN,
        "append says how it ended, though no answer ever came",
        expected="an error that is not definite: the record may be in the file",
        seen="an offset" if silent.acknowledged else "an error that is definite",
    )
    made = gfs.attempts("c1") - before
    expect(
        made >= LEAST,
        "a client gives up too early",
        expected=f"at least {LEAST} attempts, however long each of them takes",
        seen=f"{made} append requests",
        why="a clock may jump: time that passed without an attempt has given nobody a chance",
    )
    frames = cluster.network.frames("lease", "request", "c1")
    leases = len({frame.xid for frame in frames if frame.time >= since})
    expect(
        leases >= LEAST - 1,
        "a client goes on asking a server that does not answer",
        expected="before each new attempt it asks the master who is primary now",
        seen=f"{made} append requests, and the master was asked {leases} times",
        why="a primary that is silent may be dead, or have lost its lease: only the master knows who has it now",
    )
    gfs.note("c2 is cut off from everybody")
    cluster.network.add(Partition(["c2"], [MASTER, *gfs.chunkservers]))
    alone = gfs.workload.append("c2", LOG)
    gfs.finish(alone)
    expect(not alone.acknowledged, "a client that reaches nobody has its record acknowledged")
    refused(gfs, "c2", "read", path=LOG, offset=0, length=10)


@claim(
    "An error is definite exactly when no request to append or write has left, and comes at once when nothing else can",
    hint="remember over all attempts whether a request has left; the error of the last one says nothing about the others",
    read="labs/04_consistency/README.md#part-a-the-client-library",
)
def test_what_an_error_says(cluster: Cluster) -> None:
    gfs = Gfs(cluster, clients=5, patience=30.0)
    gfs.begin(LOG)
    cluster.call("c1", "create", path=PAGE)
    gfs.finish(gfs.workload.write("c3", PAGE, 0, 64))
    asked_in_vain(gfs)
    network = cluster.network
    network.add(
        Drop(Aim("append", "reply", receiver="c1", times=None)),
        Drop(Aim("write", "reply", receiver="c3", times=None)),
        Partition(["c2", "c5"], gfs.chunkservers),
    )
    gfs.note("c1 and c3 get no answers to append and write; c2 and c5 reach no chunkserver")
    half_way = When(
        Aim("write", "reply", receiver="c4"),
        lambda: network.add(Partition(["c4"], gfs.chunkservers)),
        deliver=True,
    )
    network.add(half_way)
    gfs.note("c4 is cut off from the chunkservers when the first piece of its write is answered")
    write = partial(gfs.workload.write, path=PAGE, offset=0, size=2 * gfs.limits.record_limit)
    left = [network.watch(Aim(method, "request", sender=name)) for method, name in UNHEARD]
    silent, alone = gfs.workload.append("c1", LOG), gfs.workload.append("c2", LOG)
    unheard, begun, kept = write("c3"), write("c4"), write("c5")

    def sent() -> bool:
        met = (*(one.aim.hits for one in left), half_way.aim.hits)
        return all(
            hits > 0 or one.done.is_set() for hits, one in zip(met, (silent, unheard, begun), strict=True)
        )

    gfs.pass_until(sent, "an append request of c1, and write requests of c3 and c4")
    for name in gfs.chunkservers:
        gfs.crash(name, "for good: from now on every attempt is refused before a request leaves")
    gfs.finish(silent, alone, unheard, begun, kept)
    for one, why in (
        (silent, "its append request left, whatever the later attempts ended with"),
        (unheard, "its write request left, whatever the later attempts ended with"),
        (begun, "the first piece of it is written, though no request for the second ever left"),
    ):
        expect(
            one.outcome is Outcome.UNKNOWN,
            f"{one} says how it ended, though nobody can know",
            expected=f"an error that is not definite: {why}",
            seen="success" if one.acknowledged else f"a definite error: {one.refused}",
        )
    for one in (alone, kept):
        expect(
            one.outcome is Outcome.FAIL,
            f"{one} leaves open whether it happened, though no request ever left",
            expected="a definite error: its client pushed data in vain, and asked nobody to append or write it",
            seen="success" if one.acknowledged else f"an error that is not definite: {one.refused}",
            why="who knows that nothing happened may do it again, elsewhere, without making a copy",
        )
    questions_of_a_reader(gfs, "c2")


def asked_in_vain(gfs: Gfs) -> None:
    """What can never succeed fails at once, and definitely."""
    network = gfs.cluster.network
    cases = (
        (LOG, gfs.limits.record_limit, "push", "a record that is too large"),
        ("/nowhere", 200, "stat", "a file that does not exist"),
    )
    for path, size, method, what in cases:
        before = {frame.xid for frame in network.frames(method, "request", "c1")}
        append = gfs.workload.append("c1", path, size)
        gfs.finish(append)
        expect(
            append.outcome is Outcome.FAIL,
            f"an append with {what} does not end in a definite error",
            expected="AppendFailed, definite: no request has left",
            seen="an offset" if append.acknowledged else f"an error that is not definite: {append.refused}",
        )
        tried = len({frame.xid for frame in network.frames(method, "request", "c1")} - before)
        expect(
            tried <= MOST_IN_VAIN,
            f"an append with {what} is tried again and again",
            expected="AppendFailed at once: no attempt can succeed",
            seen=f"{tried} {method} requests",
        )
    error = refused(gfs, "c1", "read", path="/nowhere", offset=0, length=10)
    expect(
        error.type == "NoSuchFile",
        "a read of a file that does not exist does not say so",
        expected="NoSuchFile",
        seen=str(error),
    )


def questions_of_a_reader(gfs: Gfs, name: str) -> None:
    """A reader whose replicas are all dead forgets where they were, rests, and asks again."""
    cluster, since = gfs.cluster, gfs.cluster.now()
    refused(gfs, name, "read", path=LOG, offset=0, length=10)
    frames = [frame for frame in cluster.network.frames("lookup", "request", name) if frame.time >= since]
    asked, seconds = len({frame.xid for frame in frames}), cluster.now() - since
    expect(
        asked >= LEAST - 1,
        "a reader goes on with the places it knows although none of them will do",
        expected="a lookup before each new attempt",
        seen=f"{asked} in {seconds:.0f} s",
        why="the chunk may have been given to other servers meanwhile",
    )
    most = LEAST + seconds / SHORTEST
    expect(
        asked <= most,
        "a reader asks again without a rest",
        expected=f"pauses of at least {SHORTEST:g} s, so at most {most:.0f} attempts in {seconds:.0f} s",
        seen=f"{asked} lookups",
        why="a cluster in trouble is kept there by clients that do not let it rest",
    )


def refused(gfs: Gfs, name: str, command: str, **args: Any) -> CallRefused:
    """The documented error that a command of a client which reaches no replica ends with."""
    cluster = gfs.cluster
    pending = cluster.begin(name, command, **args)
    gfs.pass_until(lambda: pending.done, f"the end of a {command} by {name}, which cannot succeed")
    error: CallRefused | None = None
    try:
        cluster.result(name, pending)
    except CallRefused as refusal:
        if refusal.kind == NOT_IMPLEMENTED:
            raise
        error = refusal
    expect(
        error is not None,
        f"a {command} of {args['path']} by {name} has a result, although it cannot succeed",
        expected="an error",
    )
    assert error is not None
    expect(
        error.documented,
        f"{command} failed in a way that its docstring does not know",
        expected="ReadFailed",
        seen=str(error),
    )
    return error

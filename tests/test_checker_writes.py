"""Plain writes: no alarm on what a correct GFS may make of them, no silence when bytes are not what they should be.

The model carries out every piece at one moment between invocation and answer, on all replicas in one order; writes
that fail or stay unanswered may reach some replicas only, in part, and later than their client thinks.
"""

from __future__ import annotations

import random
from collections import Counter
from itertools import groupby, pairwise

import pytest

from harness.checker import Judgement, Name, check, explain
from harness.history import Chunk, DataId, Handle, History, Kind, Meta, OpId, Outcome, Replica, Segment, Write

SIZE = 64
SERVERS = ("cs1", "cs2", "cs3")
META = Meta(seed=0, chunk_size=SIZE, record_limit=16, replicas=3, cache_lifetime=60.0)

Cells = list[str]
"""For each byte of a replica whose data it shows; "" for zeros."""


def run(seed: int, trouble: float) -> tuple[tuple[Write, ...], dict[tuple[int, str], Cells]]:
    """Writes to two chunks, and what the replicas hold in the end."""
    rng = random.Random(seed)
    disks = {(index, server): [""] * SIZE for index in (0, 1) for server in SERVERS}
    writes: list[Write] = []
    mutations: list[tuple[float, Write, int, int, tuple[str, ...]]] = []
    for number in range(1, 13):
        offset = rng.randrange(2 * SIZE - 30)
        size = rng.randrange(1, 31)
        cuts = (
            tuple(sorted(rng.sample(range(offset, offset + size), min(size, 2))))
            if rng.random() < 0.5
            else ()
        )
        begun = float(rng.randrange(20))
        done = begun + rng.randrange(1, 8)
        bad = rng.random() < trouble
        outcome = rng.choice((Outcome.FAIL, Outcome.UNKNOWN, Outcome.OK)) if bad else Outcome.OK
        attempts = 2 if bad else 1
        write = Write(
            OpId(number),
            f"c{number}",
            "/page",
            DataId(f"w{number}"),
            offset,
            size,
            begun,
            done,
            outcome,
            attempts,
            cuts,
        )
        writes.append(write)
        ends = sorted({offset, offset + size, *cuts, *([SIZE] if offset < SIZE < offset + size else [])})
        for start, end in pairwise(ends):
            if bad:
                late = done if outcome is Outcome.OK else done + 10
                some = tuple(rng.sample(SERVERS, rng.randrange(4)))
                mutations.append(
                    (rng.uniform(begun, late), write, start, rng.randrange(start, end + 1), some)
                )
            if outcome is Outcome.OK:
                mutations.append((rng.uniform(begun, done), write, start, end, SERVERS))
    for _, write, start, end, servers in sorted(mutations, key=lambda one: one[0]):
        for place in range(start, end):
            for server in servers:
                disks[place // SIZE, server][place % SIZE] = write.data
    return tuple(sorted(writes, key=lambda one: (one.invoked, one.op))), disks


def history(writes: tuple[Write, ...], disks: dict[tuple[int, str], Cells]) -> History:
    chunks = tuple(Chunk("/page", index, Handle(index), 1, SERVERS) for index in (0, 1))
    replicas: list[Replica] = []
    for (index, server), cells in disks.items():
        segments: list[Segment] = []
        for data, same in groupby(cells):
            start = segments[-1].end if segments else 0
            kind = Kind.WRITE if data else Kind.PADDING
            segments.append(Segment(start, len(list(same)), kind, data))
        replicas.append(Replica(Handle(index), server, 1, SIZE, tuple(segments)))
    return History(META, chunks=chunks, replicas=tuple(replicas), writes=writes)


def test_legal_writes_raise_no_alarm() -> None:
    seen: Counter[str] = Counter()
    for seed in range(500):
        run_ = history(*run(seed, trouble=(0.0, 0.3)[seed % 2]))
        verdict = check(run_)
        assert verdict.judgement is Judgement.VALID, f"seed {seed}\n{explain(verdict, run_)}"
        seen["undefined"] += verdict.statistics.undefined_bytes > 0
        seen["inconsistent"] += verdict.statistics.inconsistent_bytes > 0
    assert min(seen["undefined"], seen["inconsistent"]) > 20, seen


@pytest.mark.parametrize(
    ("name", "servers"),
    [
        (Name.LOST_WRITE, SERVERS),
        (Name.MINGLED_WRITE, SERVERS),
        (Name.UNEXPLAINED_INCONSISTENCY, SERVERS[:1]),
        (Name.PHANTOM_RECORD, SERVERS[1:2]),
    ],
)
def test_planted_bytes_are_found(name: Name, servers: tuple[str, ...]) -> None:
    """One byte of a range that two writes cover is given to another write than it should show."""
    planted = 0
    for seed in range(200):
        writes, disks = run(seed, trouble=0.0)
        place, intruder = planting(name, writes, disks)
        if intruder is None:
            continue
        planted += 1
        for server in servers:
            disks[place // SIZE, server][place % SIZE] = intruder.data
        verdict = check(history(writes, disks))
        names = {anomaly.name for anomaly in verdict.anomalies}
        assert name in names, f"seed {seed}: {names}"
    assert planted > 30


def planting(
    name: Name, writes: tuple[Write, ...], disks: dict[tuple[int, str], Cells]
) -> tuple[int, Write | None]:
    """A byte, and a write whose data makes just this anomaly of it."""
    by_data = {write.data: write for write in writes}
    for place in range(2 * SIZE):
        shown = by_data.get(DataId(disks[place // SIZE, "cs1"][place % SIZE]))
        if shown is None:
            continue
        covers = [one for one in writes if one.offset <= place < one.end and one is not shown]
        concurrent = [
            one
            for one in covers
            if one.invoked < shown.acknowledged_at and shown.invoked < one.acknowledged_at
        ]
        match name:
            case Name.LOST_WRITE:
                found = [one for one in covers if one.acknowledged_at < shown.invoked]
            case Name.PHANTOM_RECORD:
                found = [one for one in writes if not one.offset <= place < one.end]
            case Name.MINGLED_WRITE:
                # Next to it the two are in the other order, and in the same piece of both.
                found = [
                    one
                    for one in concurrent
                    if not one.cuts
                    and not shown.cuts
                    and place % SIZE
                    and place - 1 >= max(one.offset, shown.offset)
                    if disks[place // SIZE, "cs1"][place % SIZE - 1] == shown.data
                ]
            case _:
                found = concurrent
        if found:
            return place, found[0]
    return 0, None

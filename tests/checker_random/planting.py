"""Ways to plant what GFS allows and a stricter model does not."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

from harness.history import (
    Append,
    History,
    Kind,
    OpId,
    Outcome,
    Scan,
    Segment,
)
from tests.checker_random.simulated import PATHS
from tests.checker_random.spoiling import acknowledged, copy_once, place, with_append, with_segments

Plant = Callable[[History, random.Random], History | None]


def free_client(history: History, append: Append, opened: bool = False) -> Scan:
    """A scan by somebody new, after everything, that returns the whole file but this record."""
    end = max(one.completed or one.invoked for one in (*history.appends, *history.scans)) + 1
    records = tuple(
        (one.record, one.offset or 0)
        for one in acknowledged(history)
        if one.path == append.path and one.record != append.record
    )
    return Scan(OpId(9999), "new", append.path, opened, end, end + 1, Outcome.OK, records)


def miss_lately(history: History, rng: random.Random) -> History | None:
    """The record acknowledged last, so that the location cache excuses it."""
    last = max(acknowledged(history), key=lambda one: one.acknowledged_at)
    scan = free_client(history, last)
    if scan.invoked - history.meta.cache_lifetime > last.acknowledged_at:
        return None
    return replace(history, scans=(*history.scans, scan))


def miss_own(history: History, rng: random.Random) -> History | None:
    spoiled = miss_lately(history, rng)
    if spoiled is None:
        return None
    last = max(acknowledged(history), key=lambda one: one.acknowledged_at)
    return replace(spoiled, scans=(*spoiled.scans[:-1], replace(spoiled.scans[-1], client=last.client)))


def deny(history: History, rng: random.Random) -> History | None:
    """What was acknowledged was told to have failed."""
    append = rng.choice(acknowledged(history))
    return with_append(history, append, replace(append, outcome=Outcome.FAIL, offset=None))


def copy_everywhere(history: History, rng: random.Random) -> History | None:
    """The first append to a chunk with room was tried twice: its second copy is on every replica."""
    for append in acknowledged(history):
        _, _, replicas = place(history, append)
        ends = {replica.length for replica in replicas}
        if len(ends) == 1 and replicas[0].length + append.size <= history.meta.chunk_size:
            copy = Segment(replicas[0].length, append.size, Kind.RECORD, append.record)
            spoiled = with_append(history, append, replace(append, attempts=2))
            for replica in replicas:
                spoiled = with_segments(spoiled, replica, [*replica.segments, copy])
            return spoiled
    return None


def copy_somewhere(history: History, rng: random.Random) -> History | None:
    spoiled = copy_once(history, rng)
    if spoiled is None:
        return None
    changed = next(new for new, old in zip(spoiled.replicas, history.replicas, strict=True) if new != old)
    append = next(one for one in history.appends if one.record == changed.segments[-1].content)
    return with_append(spoiled, append, replace(append, attempts=2))


def swap_chunks(history: History, rng: random.Random) -> History | None:
    """Two chunks of a file change places, with all that was acknowledged in them."""
    size = history.meta.chunk_size
    for path in PATHS:
        chunks = sorted((one for one in history.chunks if one.path == path), key=lambda one: one.index)
        if len(chunks) < 2:
            continue
        places = {chunks[0].index: chunks[1].index, chunks[1].index: chunks[0].index}

        def moved(offset: int, places: dict[int, int] = places) -> int:
            return places.get(offset // size, offset // size) * size + offset % size

        return replace(
            history,
            chunks=tuple(
                replace(one, index=places.get(one.index, one.index)) if one.path == path else one
                for one in history.chunks
            ),
            appends=tuple(
                replace(one, offset=moved(one.offset)) if one.path == path and one.offset is not None else one
                for one in history.appends
            ),
            scans=tuple(
                replace(one, records=tuple((record, moved(offset)) for record, offset in one.records))
                if one.path == path
                else one
                for one in history.scans
            ),
        )
    return None

"""Ways to spoil a valid history, each of which breaks one guarantee."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import permutations

from harness.history import (
    Append,
    Chunk,
    History,
    Kind,
    Outcome,
    RecordId,
    Replica,
    Scan,
    Segment,
)

Spoil = Callable[[History, random.Random], History | None]


def acknowledged(history: History) -> list[Append]:
    return [append for append in history.appends if append.outcome is Outcome.OK]


def place(history: History, append: Append) -> tuple[int, Chunk, list[Replica]]:
    """Chunk offset, chunk and current replicas of an acknowledged record."""
    index, start = divmod(append.offset or 0, history.meta.chunk_size)
    chunk = next(chunk for chunk in history.chunks if (chunk.path, chunk.index) == (append.path, index))
    replicas = [
        replica
        for replica in history.replicas
        if replica.handle == chunk.handle and replica.server in chunk.replicas
    ]
    return start, chunk, replicas


def with_append(history: History, old: Append, new: Append) -> History:
    return replace(history, appends=tuple(new if append == old else append for append in history.appends))


def with_scan(history: History, old: Scan, new: Scan) -> History:
    return replace(history, scans=tuple(new if scan == old else scan for scan in history.scans))


def with_segments(history: History, old: Replica, segments: list[Segment]) -> History:
    new = replace(old, segments=tuple(segments), length=segments[-1].end if segments else 0)
    return replace(
        history, replicas=tuple(new if replica == old else replica for replica in history.replicas)
    )


def overwrite(history: History, rng: random.Random, *pieces: tuple[float, Kind]) -> History:
    """Replace an acknowledged record on one replica by pieces, each a share of its length."""
    append = rng.choice(acknowledged(history))
    start, _, replicas = place(history, append)
    replica = rng.choice(replicas)
    segments: list[Segment] = []
    for segment in replica.segments:
        if segment.start != start:
            segments.append(segment)
            continue
        for share, kind in pieces:
            length = max(1, int(segment.length * share))
            content = segment.content if kind is Kind.FRAGMENT else ""
            segments.append(Segment(start, length, kind, content))
            start += length
        segments[-1] = segments[-1]._replace(length=segment.end - segments[-1].start)
        start = -1
    return with_segments(history, replica, segments)


def lose(history: History, rng: random.Random) -> History | None:
    return overwrite(history, rng, (1.0, Kind.PADDING))


def tear(history: History, rng: random.Random) -> History | None:
    return overwrite(history, rng, (0.5, Kind.FRAGMENT), (0.5, Kind.PADDING))


def miss(history: History, slack: float, opened: bool) -> History | None:
    for scan in history.scans:
        for append in acknowledged(history):
            due = scan.invoked - slack
            if append.path == scan.path and append.acknowledged_at < due and scan.opened is opened:
                records = tuple(pair for pair in scan.records if pair[0] != append.record)
                return with_scan(history, scan, replace(scan, records=records))
    return None


def miss_after_opening(history: History, rng: random.Random) -> History | None:
    return miss(history, 0.0, True)


def miss_beyond_cache(history: History, rng: random.Random) -> History | None:
    return miss(history, history.meta.cache_lifetime, False)


def give_out_twice(history: History, rng: random.Random) -> History | None:
    one, two = rng.sample(acknowledged(history), 2)
    return with_append(history, two, replace(two, path=one.path, offset=one.offset))


def invent(history: History, rng: random.Random) -> History | None:
    scan = rng.choice([scan for scan in history.scans if scan.outcome is Outcome.OK])
    return with_scan(history, scan, replace(scan, records=(*scan.records, (RecordId("ghost"), 0))))


def swap_names(replica: Replica, one: Append, two: Append) -> list[Segment]:
    names = {one.record: two.record, two.record: one.record}
    return [
        segment._replace(content=names.get(RecordId(segment.content), segment.content))
        for segment in replica.segments
    ]


def neighbours(history: History) -> Iterator[tuple[Append, Append]]:
    """Acknowledged records of one size in one chunk, each sent once."""
    size = history.meta.chunk_size
    once = [append for append in acknowledged(history) if append.attempts == 1]
    for one, two in permutations(once, 2):
        same_chunk = one.path == two.path and (one.offset or 0) // size == (two.offset or 0) // size
        if same_chunk and one.size == two.size:
            yield one, two


def diverge(history: History, rng: random.Random) -> History | None:
    for one, two in neighbours(history):
        _, _, replicas = place(history, one)
        if len(replicas) > 1:
            return with_segments(history, replicas[0], swap_names(replicas[0], one, two))
    return None


def turn_back(history: History, rng: random.Random) -> History | None:
    for one, two in neighbours(history):
        if one.acknowledged_at < two.invoked:
            spoiled = with_append(history, one, replace(one, offset=two.offset))
            spoiled = with_append(spoiled, two, replace(two, offset=one.offset))
            for replica in place(history, one)[2]:
                spoiled = with_segments(spoiled, replica, swap_names(replica, one, two))
            return spoiled
    return None


def copy_once(history: History, rng: random.Random) -> History | None:
    for append in acknowledged(history):
        _, _, replicas = place(history, append)
        room = history.meta.chunk_size - append.size
        if append.attempts == 1 and len(replicas) > 1 and replicas[0].length <= room:
            copy = Segment(replicas[0].length, append.size, Kind.RECORD, append.record)
            return with_segments(history, replicas[0], [*replicas[0].segments, copy])
    return None


def lower_limit(history: History, rng: random.Random) -> History | None:
    largest = max(append.size for append in acknowledged(history))
    return replace(history, meta=replace(history.meta, record_limit=largest - 1))


def straddle(history: History, rng: random.Random) -> History | None:
    append = rng.choice(acknowledged(history))
    return with_append(history, append, replace(append, offset=history.meta.chunk_size - 1))


def resurrect(history: History, rng: random.Random) -> History | None:
    for chunk in history.chunks:
        for replica in history.replicas:
            if replica.handle == chunk.handle and replica.server not in chunk.replicas:
                listing = replace(chunk, replicas=(*chunk.replicas, replica.server))
                return replace(
                    history, chunks=tuple(listing if old == chunk else old for old in history.chunks)
                )
    return None

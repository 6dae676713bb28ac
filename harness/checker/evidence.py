"""A history, indexed once for all guarantees.

*Current* replicas are those that the master lists and whose dump carries the master's version of the chunk, or a higher
one: the number rises on replicas first, and may rise in vain. Only they have to hold what was acknowledged (GFS §4.5
tells the others stale). An acknowledged extent lies
where its client was told, at the file offset index * chunk size + offset in the chunk.

Replicas of a healthy chunk are equal, and of an unhealthy one nearly so. Hence a `ChunkView` keeps one replica
whole, its first, and of each other only in which segments it differs; guarantees read everything once.

Invariant: nothing here judges; everything is linear in the history, sorting aside.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import compress
from operator import eq, itemgetter, ne
from typing import NamedTuple

from harness.checker.regions import Region, merge
from harness.history import (
    Append,
    Chunk,
    Handle,
    History,
    Kind,
    Outcome,
    RecordId,
    Replica,
    Scan,
    Segment,
    Write,
)


class Extent(NamedTuple):
    """Where the acknowledgement of `append` says that its record stands, in chunk offsets."""

    start: int
    end: int
    append: Append


class Difference(NamedTuple):
    """How a replica differs from the first of its chunk: what it `lacks` of that, and what it has in `extra`."""

    replica: Replica
    lacks: Sequence[Segment]
    extra: Sequence[Segment]


@dataclass(frozen=True)
class ChunkView:
    """A chunk in the end. `base` is its first file offset, `extents` what was acknowledged in it, sorted."""

    chunk: Chunk
    base: int
    current: tuple[Replica, ...]
    outdated: tuple[Replica, ...]
    extents: Sequence[Extent]

    @property
    def servers(self) -> tuple[str, ...]:
        return tuple(replica.server for replica in self.current)

    @cached_property
    def differences(self) -> tuple[Difference, ...]:
        """One for each current replica but the first, in the same order."""
        return tuple(difference(self.current[0].segments, replica) for replica in self.current[1:])

    @cached_property
    def identical(self) -> bool:
        """All current replicas are segment for segment the same, the usual case."""
        return not any(one.lacks or one.extra for one in self.differences)

    @property
    def distinct(self) -> Iterator[Replica]:
        """The current replicas, but none that is the same as the first."""
        yield from self.current[:1]
        yield from (one.replica for one in self.differences if one.lacks or one.extra)

    @property
    def held(self) -> Iterator[tuple[str, Sequence[Segment]]]:
        """Every segment that some current replica holds, by server; those the first one holds only there."""
        if self.current:
            yield self.current[0].server, self.current[0].segments
        for one in self.differences:
            yield one.replica.server, one.extra

    @cached_property
    def differing(self) -> tuple[Region, ...]:
        """The regions of the stretches over which current replicas hold different segments."""
        if self.identical:
            return ()
        # By where they begin: no two segments of the first replica begin at one place.
        lacked = {segment[0]: segment for one in self.differences for segment in one.lacks}
        columns = [[lacked[start] for start in sorted(lacked)]]
        for one in self.differences:
            shared = lacked.keys() - {segment[0] for segment in one.lacks}
            columns.append(sorted([*one.extra, *(lacked[start] for start in shared)], key=itemgetter(0)))
        return tuple(merge(columns))

    @cached_property
    def starts(self) -> Sequence[int]:
        """Of the acknowledged extents."""
        return [extent[0] for extent in self.extents]

    @cached_property
    def missing(self) -> tuple[tuple[Replica, list[Extent]], ...]:
        """For each current replica, the acknowledged extents at which it does not hold the record whole."""
        return tuple(_missing_extents(self))

    def regions_between(self, start: int, end: int) -> tuple[Region, ...]:
        """The regions that overlap chunk offsets `start` to `end`."""
        near = [_between(replica.segments, start, end) for replica in self.current]
        return tuple(region for region in merge(near) if region.start < end and start < region.end)


def _between(segments: Sequence[Segment], start: int, end: int) -> Sequence[Segment]:
    """Those that overlap, and one more at each side, so that neighbours which show the same still join."""
    first = bisect_right(segments, start, key=itemgetter(0)) - 2
    last = bisect_right(segments, end, key=itemgetter(0))
    return segments[max(0, first) : last + 1]


def difference(first: Sequence[Segment], replica: Replica) -> Difference:
    """Both tile their replica, so walking along them side by side finds all that is not common."""
    second = replica.segments
    lacks: list[Segment] = []
    extra: list[Segment] = []
    if first == second:
        return Difference(replica, lacks, extra)
    length, other_length = len(first), len(second)
    # Up to where their bounds part, which may well be nowhere, they can be compared segment by segment.
    at = 0
    for place in compress(range(min(length, other_length)), map(ne, first, second)):
        here, there = first[place], second[place]
        at = place
        if here[0] + here[1] != there[0] + there[1]:
            break
        lacks.append(here)
        extra.append(there)
        at = place + 1
    else:
        at = min(length, other_length)
    other = at
    while at < length and other < other_length:
        here, there = first[at], second[other]
        if here is there or here == there:
            at += 1
            other += 1
            continue
        ahead = here.end - there.end
        if ahead <= 0:
            lacks.append(here)
            at += 1
        if ahead >= 0:
            extra.append(there)
            other += 1
    lacks += first[at:]
    extra += second[other:]
    return Difference(replica, lacks, extra)


def _missing_extents(view: ChunkView) -> Iterator[tuple[Replica, list[Extent]]]:
    if not view.current:
        return
    first = view.current[0]
    stands = {segment[0]: segment for segment in first.segments if segment[2] is Kind.RECORD}
    missing: list[Extent] = []
    for extent in view.extents:
        start, end, append = extent
        held = stands.get(start)
        if held is None or held[1] != end - start or held[3] != append.record:
            missing.append(extent)
    yield first, missing
    absent = {extent.append.op for extent in missing}
    starts = () if view.identical else view.starts
    for one in view.differences:
        # What the first lacks may be among what this one has instead; what it lacks, the first may have.
        lost: list[Extent] = []
        if missing:
            extra = {
                (start, start + size, what) for start, size, kind, what in one.extra if kind is Kind.RECORD
            }
            lost += [
                extent for extent in missing if (extent.start, extent.end, extent.append.record) not in extra
            ]
        for start, _, kind, _ in one.lacks:
            at = bisect_left(starts, start) if kind is Kind.RECORD else len(starts)
            while at < len(starts) and starts[at] == start:
                if view.extents[at][2].op not in absent:
                    lost.append(view.extents[at])
                at += 1
        yield one.replica, lost


@dataclass(frozen=True)
class Evidence:
    """`appends` by record; `acknowledged` by path in order of acknowledgement; `scans` that succeeded.

    `suspects` are the appends, by path and record, that may have left more or less than their acknowledged extent;
    `writes` are plain writes by path.
    """

    history: History
    appends: dict[RecordId, Append]
    acknowledged: dict[str, list[Append]]
    extents: dict[tuple[str, int], list[Extent]]
    views: tuple[ChunkView, ...]
    scans: tuple[Scan, ...]
    suspects: dict[str, dict[str, Append]]
    writes: dict[str, list[Write]]

    @classmethod
    def of(cls, history: History) -> Evidence:
        finished: dict[str, list[tuple[float, int, Append]]] = defaultdict(list)
        suspects: dict[str, dict[str, Append]] = defaultdict(dict)
        writes: dict[str, list[Write]] = defaultdict(list)
        by_record: dict[RecordId, Append] = {}
        for append in history.appends:
            by_record[append.record] = append
            if append.outcome is Outcome.OK and append.completed is not None:
                finished[append.path].append((append.completed, append.op, append))
                if append.attempts > 1:
                    suspects[append.path][append.record] = append
            elif append.left_traces:
                suspects[append.path][append.record] = append
        for write in history.writes:
            writes[write.path].append(write)
        acknowledged: dict[str, list[Append]] = {}
        for path, appends in finished.items():
            appends.sort(key=itemgetter(0, 1))
            acknowledged[path] = [append for _, _, append in appends]
        extents = _extents(history.meta.chunk_size, acknowledged)
        return cls(
            history,
            by_record,
            acknowledged,
            extents,
            tuple(_views(history, extents)),
            tuple(scan for scan in history.scans if scan.answered_at < math.inf),
            dict(suspects),
            dict(writes),
        )

    @property
    def dumped_paths(self) -> frozenset[str]:
        """The files of which the master described at least one chunk."""
        return frozenset(chunk.path for chunk in self.history.chunks)

    @cached_property
    def placements(self) -> dict[str, int]:
        """For each record that stands whole on some current replica, the file offset of its first copy."""
        return self._stored[0]

    @cached_property
    def duplicates(self) -> dict[str, set[int]]:
        """The file offsets of all copies, for the records that have more than one."""
        return self._stored[1]

    @cached_property
    def _stored(self) -> tuple[dict[str, int], dict[str, set[int]]]:
        first: dict[str, int] = {}
        several: dict[str, set[int]] = {}
        record = Kind.RECORD
        for view in self.views:
            base = view.base
            for _, segments in view.held:
                for start, _, kind, content in segments:
                    if kind is not record:
                        continue
                    offset = base + start
                    known = first.setdefault(content, offset)
                    if known != offset:
                        several.setdefault(content, {known}).add(offset)
                        first[content] = min(known, offset)
        return first, several

    @cached_property
    def logs(self) -> dict[str, list[tuple[int, Append]]]:
        """Each file as one log: its records, with file offsets, in the order of their first copies.

        Where replicas hold different first copies at one offset, they stand in the order of their operations' numbers.
        """
        logs: dict[str, list[tuple[int, Append]]] = defaultdict(list)
        for record, offset in self.placements.items():
            append = self.appends.get(RecordId(record))
            if append is not None:
                logs[append.path].append((offset, append))
        for log in logs.values():
            log.sort(key=itemgetter(0))
            offsets = [offset for offset, _ in log]
            if any(map(eq, offsets, offsets[1:])):
                log.sort(key=_place_in_log)
        return dict(logs)


def _place_in_log(entry: tuple[int, Append]) -> tuple[int, int]:
    return entry[0], entry[1].op


def _extents(chunk_size: int, acknowledged: dict[str, list[Append]]) -> dict[tuple[str, int], list[Extent]]:
    extents: dict[tuple[str, int], list[Extent]] = defaultdict(list)
    for path, appends in acknowledged.items():
        for append in appends:
            index, start = divmod(append.offset or 0, chunk_size)
            extents[path, index].append(Extent(start, start + append.size, append))
    for neighbours in extents.values():
        # Stable: those of one offset stay in order of acknowledgement.
        neighbours.sort(key=itemgetter(0))
    return dict(extents)


def _views(history: History, extents: dict[tuple[str, int], list[Extent]]) -> Iterator[ChunkView]:
    dumps: dict[Handle, dict[str, Replica]] = defaultdict(dict)
    for replica in history.replicas:
        dumps[replica.handle][replica.server] = replica
    for chunk in sorted(history.chunks, key=lambda chunk: (chunk.path, chunk.index)):
        dumped = dumps.get(chunk.handle, {})
        listed = [dumped[server] for server in chunk.replicas if server in dumped]
        yield ChunkView(
            chunk,
            chunk.index * history.meta.chunk_size,
            tuple(replica for replica in listed if replica.version >= chunk.version),
            tuple(replica for replica in listed if replica.version < chunk.version),
            extents.get((chunk.path, chunk.index), ()),
        )


def overlapping(segments: Sequence[Segment], extents: Sequence[Extent]) -> Iterator[tuple[Segment, Extent]]:
    """Every overlapping pair of a segment and an extent, both sorted; linear while extents are disjoint."""
    behind = 0
    for segment in segments:
        while behind < len(extents) and extents[behind].end <= segment.start:
            behind += 1
        for number in range(behind, len(extents)):
            extent = extents[number]
            if extent.start >= segment.end:
                break
            if extent.end > segment.start:
                yield segment, extent


def describe(segment: Segment | None) -> str:
    """What a replica holds, in words."""
    if segment is None:
        return "nothing (it ends before)"
    match segment.kind:
        case Kind.RECORD:
            return f"record {segment.content}"
        case Kind.FRAGMENT:
            return f"a part of record {segment.content}"
        case Kind.PADDING:
            return "padding"
        case Kind.WRITE:
            return f"data {segment.content}"
        case Kind.OTHER:
            return f"unknown bytes {segment.content}"

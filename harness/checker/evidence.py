"""A history, indexed once for all guarantees.

*Current* replicas are those that the master lists and whose dump carries the master's version of the chunk:
only they have to hold what was acknowledged (GFS §4.5 tells the others stale). An acknowledged extent lies
where its client was told, at the file offset index * chunk size + offset in the chunk.

Invariant: nothing here judges; everything is linear in the history, sorting aside.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.checker.regions import Region, merge
from harness.history import Append, Chunk, Handle, History, Kind, RecordId, Replica, Scan, Segment


@dataclass(frozen=True, slots=True)
class Extent:
    """Where the acknowledgement of `append` says that its record stands, in chunk offsets."""

    start: int
    end: int
    append: Append


@dataclass(frozen=True, slots=True)
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

    def regions(self) -> Iterator[Region]:
        return merge([replica.segments for replica in self.current])

    def regions_between(self, start: int, end: int) -> tuple[Region, ...]:
        """The regions that overlap chunk offsets `start` to `end`."""
        return tuple(region for region in self.regions() if region.start < end and start < region.end)

    @property
    def identical(self) -> bool:
        """All current replicas are segment for segment the same, the usual case and cheap to see."""
        return all(replica.segments == self.current[0].segments for replica in self.current[1:])


@dataclass(frozen=True, slots=True)
class Evidence:
    """`appends` by record; `acknowledged` by path in order of acknowledgement; `scans` that succeeded.

    `suspects` are the appends, by path and record, that may have left more or less than their acknowledged extent.
    """

    history: History
    appends: dict[RecordId, Append]
    acknowledged: dict[str, list[Append]]
    extents: dict[tuple[str, int], list[Extent]]
    views: tuple[ChunkView, ...]
    scans: tuple[Scan, ...]
    suspects: dict[str, dict[str, Append]]

    @classmethod
    def of(cls, history: History) -> Evidence:
        acknowledged: dict[str, list[Append]] = defaultdict(list)
        suspects: dict[str, dict[str, Append]] = defaultdict(dict)
        for append in history.appends:
            if append.acknowledged_at < math.inf:
                acknowledged[append.path].append(append)
            if append.left_traces:
                suspects[append.path][append.record] = append
        for appends in acknowledged.values():
            appends.sort(key=lambda append: append.acknowledged_at)
        extents = _extents(history.meta.chunk_size, acknowledged)
        return cls(
            history,
            {append.record: append for append in history.appends},
            dict(acknowledged),
            extents,
            tuple(_views(history, extents)),
            tuple(scan for scan in history.scans if scan.answered_at < math.inf),
            dict(suspects),
        )

    @property
    def dumped_paths(self) -> frozenset[str]:
        """The files of which the master described at least one chunk."""
        return frozenset(chunk.path for chunk in self.history.chunks)


def _extents(chunk_size: int, acknowledged: dict[str, list[Append]]) -> dict[tuple[str, int], list[Extent]]:
    extents: dict[tuple[str, int], list[Extent]] = defaultdict(list)
    for path, appends in acknowledged.items():
        for append in appends:
            index, start = divmod(append.offset or 0, chunk_size)
            extents[path, index].append(Extent(start, start + append.size, append))
    for neighbours in extents.values():
        neighbours.sort(key=lambda extent: (extent.start, extent.append.op))
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
            tuple(replica for replica in listed if replica.version == chunk.version),
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
        case Kind.OTHER:
            return f"unknown bytes {segment.content}"

"""What each guarantee of the checker means, said again as slowly and plainly as possible."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import permutations, product

from hypothesis import HealthCheck, settings

from harness.checker.evidence import ChunkView, Evidence
from harness.checker.regions import State, merge
from harness.history import (
    Append,
    DataId,
    Kind,
    RecordId,
    Replica,
    Scan,
    Segment,
    Write,
)

# However slow this machine may be: hypothesis would call a busy one bad drawing.
EXHAUSTIVE = settings(
    derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
SIZE = 10  # of a chunk
LIFETIME = 3.0


NEVER = math.inf


def cyclic(edges: set[tuple[int, int]]) -> bool:
    """By closing the relation."""
    nodes = {node for edge in edges for node in edge}
    closed = set(edges)
    for middle, one, other in product(nodes, repeat=3):
        if (one, middle) in closed and (middle, other) in closed:
            closed.add((one, other))
    return any((node, node) in closed for node in nodes)


def acknowledged(evidence: Evidence) -> list[Append]:
    return [append for append in evidence.history.appends if append.acknowledged_at < NEVER]


def extents(evidence: Evidence, view: ChunkView) -> list[tuple[int, int, Append]]:
    return [
        ((append.offset or 0) - view.base, (append.offset or 0) - view.base + append.size, append)
        for append in acknowledged(evidence)
        if append.path == view.chunk.path and (append.offset or 0) // SIZE == view.chunk.index
    ]


def stored(evidence: Evidence) -> Iterator[tuple[ChunkView, Replica, Segment]]:
    for view in evidence.views:
        for replica in view.current:
            for segment in replica.segments:
                yield view, replica, segment


def whole(replica: Replica, start: int, append: Append) -> bool:
    return Segment(start, append.size, Kind.RECORD, append.record) in replica.segments


def torn_there(replica: Replica, start: int, end: int) -> bool:
    return any(one.kind is Kind.FRAGMENT and one.start < end and start < one.end for one in replica.segments)


def missed(evidence: Evidence, scan: Scan, moment: float) -> bool:
    returned = {record for record, _ in scan.records}
    return any(
        append.path == scan.path and append.acknowledged_at < moment and append.record not in returned
        for append in acknowledged(evidence)
    )


def lost_append(evidence: Evidence) -> bool:
    on_disk = any(
        not whole(replica, start, append) and not torn_there(replica, start, end)
        for view in evidence.views
        for replica in view.current
        for start, end, append in extents(evidence, view)
    )
    chunks = {(view.chunk.path, view.chunk.index) for view in evidence.views}
    vanished = any(
        (append.path, (append.offset or 0) // SIZE) not in chunks
        and append.path in {path for path, _ in chunks}
        for append in acknowledged(evidence)
    )
    unseen = any(missed(evidence, scan, scan.invoked) for scan in evidence.scans if scan.opened)
    return on_disk or vanished or unseen


def doubly_acknowledged(evidence: Evidence) -> bool:
    return any(
        one.path == other.path
        and (one.offset or 0) < (other.offset or 0) + other.size
        and (other.offset or 0) < (one.offset or 0) + one.size
        for one, other in permutations(acknowledged(evidence), 2)
    )


def phantom(evidence: Evidence) -> bool:
    homes = {append.record: append for append in evidence.history.appends}
    written = {write.data: write for write in evidence.history.writes}
    for scan in evidence.scans:
        for record, _ in scan.records:
            home = homes.get(record)
            if home is None or home.path != scan.path or home.invoked > scan.answered_at:
                return True
    for view, _, segment in stored(evidence):
        if segment.kind in (Kind.RECORD, Kind.FRAGMENT):
            home = homes.get(RecordId(segment.content))
            if home is None or home.path != view.chunk.path:
                return True
        if segment.kind is Kind.WRITE:
            write = written.get(DataId(segment.content))
            place = range(view.base + segment.start, view.base + segment.end)
            if (
                write is None
                or write.path != view.chunk.path
                or not (set(place) <= set(range(write.offset, write.end)))
            ):
                return True
    return False


def torn(evidence: Evidence) -> bool:
    return any(
        torn_there(replica, start, end)
        for view in evidence.views
        for replica in view.current
        for start, end, _ in extents(evidence, view)
    )


def divergent(evidence: Evidence) -> bool:
    for view in evidence.views:
        edges: set[tuple[int, int]] = set()
        for replica in view.current:
            places: dict[int, int] = {}
            for start, _, append in extents(evidence, view):
                copies = [
                    one.start
                    for one in replica.segments
                    if one.kind is Kind.RECORD and one.content == append.record
                ]
                if start in copies:
                    places[append.op] = start
                elif len(copies) == 1 and append.attempts == 1:
                    places[append.op] = copies[0]
            edges |= {(one, two) for one, two in permutations(places, 2) if places[one] < places[two]}
        if cyclic(edges):
            return True
    return False


def order_cycle(evidence: Evidence) -> bool:
    return any(
        one.acknowledged_at < other.invoked and later > earlier
        for view_extents in by_chunk(evidence).values()
        for (later, one), (earlier, other) in permutations(view_extents, 2)
    )


def by_chunk(evidence: Evidence) -> dict[tuple[str, int], list[tuple[int, Append]]]:
    chunks: dict[tuple[str, int], list[tuple[int, Append]]] = {}
    for append in acknowledged(evidence):
        offset = append.offset or 0
        chunks.setdefault((append.path, offset // SIZE), []).append((offset, append))
    return chunks


def unexplained(evidence: Evidence) -> bool:
    for view in evidence.views:
        path = view.chunk.path
        suspects = {
            one.record: one for one in evidence.history.appends if one.path == path and one.left_traces
        }
        doubtful = [one.end - view.base for one in evidence.writes.get(path, ()) if one.left_traces]
        for region in merge([replica.segments for replica in view.current]):
            if region.state is not State.INCONSISTENT:
                continue
            if any(start < region.end and region.start < end for start, end, _ in extents(evidence, view)):
                continue
            if any(region.start < end for end in doubtful):
                continue
            limit = min(
                (one.acknowledged_at for start, _, one in extents(evidence, view) if start >= region.end),
                default=NEVER,
            )
            able = [one for one in suspects.values() if one.invoked <= limit]
            if any(held is not None and held.kind is Kind.WRITE for held in region.columns) or not able:
                return True
            for held in region.columns:
                named = held is not None and held.kind in (Kind.RECORD, Kind.FRAGMENT)
                if named and held is not None and held.content not in {one.record for one in able}:
                    return True
    return False


def oversized(evidence: Evidence) -> bool:
    limit = evidence.history.meta.record_limit
    return any(one.size > limit for one in acknowledged(evidence)) or any(
        one.kind is Kind.RECORD and one.length > limit for _, _, one in stored(evidence)
    )


def straddling(evidence: Evidence) -> bool:
    return any((one.offset or 0) % SIZE + one.size > SIZE for one in acknowledged(evidence)) or any(
        one.kind in (Kind.RECORD, Kind.FRAGMENT) and one.end > SIZE for _, _, one in stored(evidence)
    )


def stale_read(evidence: Evidence) -> bool:
    for scan in evidence.scans:
        if scan.opened:
            continue
        openings = [
            one.invoked
            for one in evidence.scans
            if one.opened
            and (one.client, one.path) == (scan.client, scan.path)
            and one.answered_at < scan.invoked
        ]
        fetched = [] if scan.fetched is None else [scan.fetched]
        if missed(evidence, scan, max([scan.invoked - LIFETIME, *openings, *fetched])):
            return True
    return False


def resurrected(evidence: Evidence) -> bool:
    return any(view.outdated for view in evidence.views)


def clean(write: Write) -> bool:
    return write.acknowledged_at < NEVER and write.attempts == 1


def shown(evidence: Evidence) -> Iterator[tuple[ChunkView, Replica, int, Segment | None]]:
    """Every byte of every replica, by file offset; as far as any write reaches."""
    for view in evidence.views:
        for replica in view.current:
            for place in range(SIZE):
                held = next((one for one in replica.segments if one.start <= place < one.end), None)
                yield view, replica, view.base + place, held


def writes_to(evidence: Evidence, view: ChunkView, place: int) -> list[Write]:
    return [one for one in evidence.writes.get(view.chunk.path, ()) if one.offset <= place < one.end]


def lost_write(evidence: Evidence) -> bool:
    for view, _, place, held in shown(evidence):
        writers = writes_to(evidence, view, place)
        due = [one for one in writers if one.acknowledged_at < NEVER]
        if held is None or held.kind is not Kind.WRITE:
            suspects = any(one.left_traces for one in evidence.history.appends if one.path == view.chunk.path)
            if due and not any(one.left_traces for one in writers) and not suspects:
                return True
            continue
        last = next((one for one in writers if one.data == held.content), None)
        if last is not None and clean(last) and any(one.invoked > last.acknowledged_at for one in due):
            return True
    return False


def piece_of(write: Write, place: int) -> tuple[int, int]:
    """The operation, and how many cuts or chunk boundaries of it lie at or before the byte."""
    cuts = {cut for cut in write.cuts if write.offset < cut < write.end}
    cuts |= {cut for cut in range(write.offset + 1, write.end) if cut % SIZE == 0}
    return write.op, sum(cut <= place for cut in cuts)


def mingled(evidence: Evidence) -> bool:
    for view in evidence.views:
        for replica in view.current:
            numbers: dict[tuple[int, int], int] = {}
            pieces: dict[int, Write] = {}
            edges: set[tuple[int, int]] = set()
            for other, one, place, held in shown(evidence):
                if one is not replica:
                    continue
                writers = writes_to(evidence, other, place)
                for write in writers:
                    number = numbers.setdefault(piece_of(write, place), len(numbers))
                    pieces[number] = write
                last = next(
                    (
                        write
                        for write in writers
                        if held is not None and held.kind is Kind.WRITE and write.data == held.content
                    ),
                    None,
                )
                for write in writers if last is not None and clean(last) else ():
                    lost = last is not None and write.invoked > last.acknowledged_at
                    if write is not last and write.acknowledged_at < NEVER and last is not None and not lost:
                        edges.add((numbers[piece_of(write, place)], numbers[piece_of(last, place)]))
            edges |= {
                (one, two)
                for one, two in permutations(pieces, 2)
                if pieces[one].acknowledged_at < pieces[two].invoked
            }
            if cyclic(edges):
                return True
    return False

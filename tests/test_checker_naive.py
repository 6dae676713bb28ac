"""The checker against the definitions of its guarantees, tried out in the slowest way that is obviously right.

Each function below says of a small history whether one guarantee is violated: pair by pair, byte by byte, with
cycles found by closing the whole relation. Hypothesis draws thousands of histories, most of them a little wrong;
checker and definition must agree on each, for every guarantee.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import permutations, product

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.checker import Judgement, Name, check
from harness.checker.evidence import ChunkView, Evidence
from harness.checker.guarantees import BASE, STRICT
from harness.checker.regions import State, merge
from harness.history import (
    Append,
    Chunk,
    DataId,
    Handle,
    History,
    Kind,
    Meta,
    Operation,
    OpId,
    Outcome,
    RecordId,
    Replica,
    Scan,
    Segment,
    Write,
)

EXHAUSTIVE = settings(derandomize=True, deadline=None, database=None)
SIZE = 10  # of a chunk
LIFETIME = 3.0
NEVER = math.inf

# The definitions


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


def duplicate(evidence: Evidence) -> bool:
    places = {
        (one.content, view.base + one.start) for view, _, one in stored(evidence) if one.kind is Kind.RECORD
    }
    again = Counter(content for content, _ in places)
    return max(again.values(), default=0) > 1 or any(
        len(set(dict(scan.records))) < len(scan.records) for scan in evidence.scans
    )


def partial(evidence: Evidence) -> bool:
    return any(one.kind is Kind.FRAGMENT for _, _, one in stored(evidence)) or any(
        region.state is State.INCONSISTENT
        and any(held is not None and held.kind is Kind.RECORD for held in region.columns)
        for view in evidence.views
        for region in merge([replica.segments for replica in view.current])
    )


def outdated_read(evidence: Evidence) -> bool:
    return any(missed(evidence, scan, scan.invoked) for scan in evidence.scans)


def trace(evidence: Evidence) -> bool:
    failed = {one.record for one in evidence.history.appends if one.outcome is Outcome.FAIL}
    return any(
        one.kind in (Kind.RECORD, Kind.FRAGMENT) and one.content in failed for _, _, one in stored(evidence)
    ) or any(record in failed for scan in evidence.scans for record, _ in scan.records)


def log(evidence: Evidence, path: str) -> list[tuple[int, Append]]:
    """The records of a file by the offsets of their first copies."""
    places: dict[str, int] = {}
    for view, _, one in stored(evidence):
        if one.kind is Kind.RECORD:
            offset = view.base + one.start
            places[one.content] = min(offset, places.get(one.content, offset))
    records = [one for one in evidence.history.appends if one.path == path and one.record in places]
    return sorted(((places[one.record], one) for one in records), key=lambda entry: (entry[0], entry[1].op))


def reordered(evidence: Evidence) -> bool:
    return any(
        one.acknowledged_at < other.invoked and place // SIZE > earlier // SIZE
        for path in PATHS
        for (place, one), (earlier, other) in permutations(log(evidence, path), 2)
    )


def over(operation: Operation) -> float:
    return operation.answered_at if isinstance(operation, Scan) else operation.acknowledged_at


def read_edges(records: list[Append], scan: Scan) -> set[tuple[int, int]]:
    """A scan comes after what it returned and before what it missed."""
    returned = {record for record, _ in scan.records}
    return {(one.op, scan.op) if one.record in returned else (scan.op, one.op) for one in records}


def sequence_cycle(evidence: Evidence) -> bool:
    edges: set[tuple[int, int]] = set()
    operations: list[Operation] = [*evidence.scans]
    for path in PATHS:
        entries = log(evidence, path)
        records = [append for _, append in entries]
        operations += records
        edges |= {
            (one.op, other.op)
            for (place, one), (behind, other) in permutations(entries, 2)
            if (place, one.op) < (behind, other.op) and place // SIZE == behind // SIZE
        }
        for scan in evidence.scans:
            edges |= read_edges(records, scan) if scan.path == path else set()
    edges |= {
        (one.op, other.op)
        for one, other in permutations(operations, 2)
        if one.client == other.client and over(one) < other.invoked
    }
    return cyclic(edges)


def unlinearizable(evidence: Evidence) -> bool:
    for path in PATHS:
        records = [append for _, append in log(evidence, path)]
        scans = [scan for scan in evidence.scans if scan.path == path]
        names = {append.record for append in records}
        if any(record not in names for scan in scans for record, _ in scan.records):
            return True
        edges = {(one.op, two.op) for at, one in enumerate(records) for two in records[at + 1 :]}
        for scan in scans:
            edges |= read_edges(records, scan)
        edges |= {
            (one.op, two.op) for one, two in permutations([*records, *scans], 2) if over(one) < two.invoked
        }
        if cyclic(edges):
            return True
    return False


DEFINITIONS: dict[Name, Callable[[Evidence], bool]] = {
    Name.LOST_APPEND: lost_append,
    Name.DOUBLY_ACKNOWLEDGED_OFFSET: doubly_acknowledged,
    Name.PHANTOM_RECORD: phantom,
    Name.TORN_RECORD: torn,
    Name.DIVERGENT_REPLICAS: divergent,
    Name.ORDER_CYCLE: order_cycle,
    Name.UNEXPLAINED_INCONSISTENCY: unexplained,
    Name.STRADDLING_RECORD: straddling,
    Name.OVERSIZED_RECORD: oversized,
    Name.STALE_READ: stale_read,
    Name.RESURRECTED_REPLICA: resurrected,
    Name.LOST_WRITE: lost_write,
    Name.MINGLED_WRITE: mingled,
    Name.DUPLICATE_RECORD: duplicate,
    Name.PARTIAL_RECORD: partial,
    Name.OUTDATED_READ: outdated_read,
    Name.TRACE_OF_FAILURE: trace,
    Name.REORDERED_CHUNKS: reordered,
    Name.SEQUENCE_CYCLE: sequence_cycle,
    Name.UNLINEARIZABLE_LOG: unlinearizable,
}

# The histories

PATHS = ("/a", "/b")
META = Meta(seed=0, chunk_size=SIZE, record_limit=4, replicas=3, cache_lifetime=LIFETIME)


def rarely(draw: st.DrawFn, one_in: int = 8) -> bool:
    return draw(st.integers(0, one_in - 1)) == 1


def interval(draw: st.DrawFn, about: int) -> tuple[float, float]:
    start = about + draw(st.integers(-2, 2))
    return float(start), float(start + draw(st.integers(0, 4)))


def outcome(draw: st.DrawFn) -> Outcome:
    return draw(st.sampled_from((Outcome.OK,) * 6 + (Outcome.FAIL, Outcome.UNKNOWN)))


def tiles(pieces: list[tuple[int, Kind, str]]) -> tuple[Segment, ...]:
    made: list[Segment] = []
    for length, kind, content in pieces:
        made.append(Segment(made[-1].end if made else 0, length, kind, content))
    return tuple(made)


def spoiled(draw: st.DrawFn, piece: tuple[int, Kind, str], others: list[str]) -> tuple[int, Kind, str]:
    length, _, content = piece
    return draw(
        st.sampled_from(
            [
                (length, Kind.PADDING, ""),
                (length, Kind.FRAGMENT, content),
                (length, Kind.RECORD, "ghost"),
                (length, Kind.OTHER, "bytes"),
                *((length, Kind.RECORD, other) for other in others),
            ]
        )
    )


@st.composite
def append_histories(draw: st.DrawFn) -> History:
    """Two files of up to two chunks: a log that went well, but for whatever is drawn to be wrong with it."""
    numbers = iter(range(1, 100))
    appends: list[Append] = []
    chunks: list[Chunk] = []
    replicas: list[Replica] = []
    clock = 2
    stored_at: dict[str, list[tuple[RecordId, int]]] = {path: [] for path in PATHS}
    for path, index in product(PATHS[: draw(st.integers(1, 2))], range(draw(st.integers(1, 2)))):
        place = 0
        truth: list[tuple[int, Kind, str]] = []
        for _ in range(draw(st.integers(0, 3))):
            op = OpId(next(numbers))
            record, size = RecordId(f"r{op}"), draw(st.integers(2, 3))
            began, done = interval(draw, clock)
            clock += draw(st.integers(0, 2))
            result = outcome(draw)
            offset = index * SIZE + place
            if rarely(draw, 12):
                offset = max(0, offset + draw(st.integers(-3, 3)))
            told = offset if result is Outcome.OK else None
            ended = None if result is Outcome.UNKNOWN and rarely(draw, 2) else done
            attempts = 2 if rarely(draw) else 1
            client = f"c{draw(st.integers(1, 3))}"
            appends.append(Append(op, client, path, record, size, began, ended, result, told, attempts))
            if result is Outcome.OK or not rarely(draw, 3):
                truth.append((size, Kind.RECORD, record))
                stored_at[path].append((record, index * SIZE + place))
                place += size
        servers = ("cs1", "cs2", "cs3")[: draw(st.integers(1, 3))]
        handle = Handle(len(chunks) + 1)
        if rarely(draw, 20):
            continue
        chunks.append(Chunk(path, index, handle, 2, servers))
        order = draw(st.permutations(truth)) if rarely(draw) else truth
        everyone = tiles(order)
        for server in servers:
            pieces = list(order)
            names = [content for _, _, content in pieces]
            if pieces and rarely(draw, 4):
                at = draw(st.integers(0, len(pieces) - 1))
                pieces[at] = spoiled(draw, pieces[at], names)
            if pieces and rarely(draw):
                pieces.pop()
            if pieces and rarely(draw):
                pieces = draw(st.permutations(pieces))
            if names and rarely(draw):
                pieces.append((draw(st.integers(2, 3)), Kind.RECORD, draw(st.sampled_from(names))))
            held = tiles(pieces) if rarely(draw, 2) else everyone
            if not rarely(draw, 20):
                version = 1 if rarely(draw, 20) else 2
                replicas.append(Replica(handle, server, version, held[-1].end if held else 0, held))
    scans: list[Scan] = []
    for _ in range(draw(st.integers(0, 3))):
        path = draw(st.sampled_from(PATHS))
        began, done = interval(draw, draw(st.integers(0, clock)))
        in_file = stored_at[path]
        seen = in_file[: draw(st.integers(0, len(in_file)))]
        if seen and rarely(draw, 4):
            seen = [*seen]
            seen.pop(draw(st.integers(0, len(seen) - 1)))
        if seen and rarely(draw):
            seen = [*seen, seen[0]]
        result = Outcome.UNKNOWN if rarely(draw) else Outcome.OK
        fetched = began - draw(st.integers(0, 4)) if rarely(draw, 3) else None
        scans.append(
            Scan(
                OpId(next(numbers)),
                f"c{draw(st.integers(1, 3))}",
                path,
                rarely(draw, 3),
                began,
                done,
                result,
                tuple(seen),
                fetched,
            )
        )
    appends.sort(key=lambda one: (one.invoked, one.op))
    scans.sort(key=lambda one: (one.invoked, one.op))
    meta = replace(META, record_limit=2) if rarely(draw, 12) else META
    return History(meta, tuple(appends), tuple(scans), (), tuple(chunks), tuple(replicas))


@st.composite
def write_histories(draw: st.DrawFn) -> History:
    """Overlapping writes to one file of two chunks, carried out in some order, with some bytes exchanged."""
    writes: list[Write] = []
    for number in range(1, draw(st.integers(2, 5))):
        offset = draw(st.integers(0, 2 * SIZE - 4))
        size = draw(st.integers(2, min(8, 2 * SIZE - offset)))
        began, done = interval(draw, draw(st.integers(2, 6)))
        result = outcome(draw)
        ended = None if result is Outcome.UNKNOWN and rarely(draw, 2) else done
        cuts = (offset + draw(st.integers(1, size)),) if rarely(draw, 3) else ()
        attempts = 2 if rarely(draw) else 1
        data = DataId(f"w{number}")
        writes.append(
            Write(OpId(number), "c1", "/a", data, offset, size, began, ended, result, attempts, cuts)
        )
    in_order = sorted(writes, key=lambda one: (one.invoked, one.op))
    cells: list[tuple[Kind, str]] = [(Kind.PADDING, "")] * (2 * SIZE)
    for write in draw(st.permutations(in_order)) if rarely(draw, 3) else in_order:
        for place in range(write.offset, write.end):
            if not rarely(draw, 6):
                cells[place] = Kind.WRITE, write.data
    chunks = tuple(Chunk("/a", index, Handle(index), 1, ("cs1", "cs2")) for index in (0, 1))
    replicas: list[Replica] = []
    for chunk, server in product(chunks, ("cs1", "cs2")):
        mine = cells[chunk.index * SIZE :][:SIZE]
        if rarely(draw):
            place = draw(st.integers(0, SIZE - 1))
            mine[place] = Kind.WRITE, draw(st.sampled_from(writes)).data
        held = tiles([(1, kind, content) for kind, content in mine])
        replicas.append(Replica(chunk.handle, server, 1, SIZE, held))
    return History(META, chunks=chunks, replicas=tuple(replicas), writes=tuple(in_order))


def compare(history: History) -> set[Name]:
    """Assert that checker and definitions agree; what is violated."""
    evidence = Evidence.of(history)
    found = {one.name for one in (*BASE, *STRICT) if one.anomalies(evidence)}
    defined = {name for name, violated in DEFINITIONS.items() if violated(evidence)}
    assert found == defined
    verdict = check(history)
    base = {one.name for one in BASE}
    assert (verdict.judgement is Judgement.INVALID) == bool(defined & base)
    if verdict.valid:
        assert {one.name for one in verdict.standing.shortfalls} == defined - base
    for anomaly in (*verdict.anomalies, *verdict.standing.shortfalls):
        limit = 2 * (history.meta.replicas + 2) if anomaly.name is Name.SEQUENCE_CYCLE else META.replicas + 2
        assert len(anomaly.witness.operations) <= limit
    return defined


def test_every_guarantee_has_a_definition() -> None:
    assert set(DEFINITIONS) == {one.name for one in (*BASE, *STRICT)} == set(Name)


def test_appends_and_scans_are_judged_by_the_definitions() -> None:
    seen: Counter[Name | None] = Counter()

    @settings(EXHAUSTIVE, max_examples=3000)
    @given(append_histories())
    def agree(history: History) -> None:
        seen.update(compare(history) or [None])

    agree()
    # Otherwise agreement would say little: every anomaly came up, and so did histories without any.
    rare = {name: seen[name] for name in (None, *Name) if seen[name] < 10}
    assert rare.keys() <= {Name.LOST_WRITE, Name.MINGLED_WRITE}, rare


def test_writes_are_judged_by_the_definitions() -> None:
    seen: Counter[Name | None] = Counter()

    @settings(EXHAUSTIVE, max_examples=1500)
    @given(write_histories())
    def agree(history: History) -> None:
        seen.update(compare(history) or [None])

    agree()
    wanted = (None, Name.LOST_WRITE, Name.MINGLED_WRITE, Name.PHANTOM_RECORD, Name.UNEXPLAINED_INCONSISTENCY)
    assert all(seen[name] >= 10 for name in wanted), seen

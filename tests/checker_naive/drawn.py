"""Small histories drawn by hypothesis, right and wrong."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

from hypothesis import strategies as st

from harness.history import (
    Append,
    Chunk,
    DataId,
    Grant,
    Handle,
    Held,
    History,
    Kind,
    Meta,
    OpId,
    Outcome,
    RecordId,
    Replica,
    Scan,
    Segment,
    Write,
)
from tests.checker_naive.guarantees import LIFETIME, SIZE

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
    grants, held = succession(draw, chunks, appends, clock)
    return History(
        meta,
        tuple(appends),
        tuple(scans),
        (),
        tuple(chunks),
        tuple(replicas),
        grants=tuple(grants),
        held=tuple(held),
    )


def succession(
    draw: st.DrawFn, chunks: list[Chunk], appends: list[Append], end: int
) -> tuple[list[Grant], list[Held]]:
    """Leases of these chunks, and who had what, in no order: mostly where it was acknowledged, and by anybody."""
    grants: list[Grant] = []
    held: list[Held] = []
    for chunk in chunks:
        for _ in range(draw(st.integers(0, 3))):
            names = draw(st.permutations(("cs1", "cs2", "cs3")))[: draw(st.sampled_from((3, 3, 2, 1)))]
            time, version = float(draw(st.integers(0, end))), draw(st.integers(1, 4))
            grants.append(Grant(time, chunk.handle, version, names[0], tuple(names[1:])))
        for append in appends:
            if rarely(draw, 3):
                place = draw(st.integers(0, SIZE - 1)) if append.offset is None else append.offset % SIZE
                time, version = float(draw(st.integers(0, end))), draw(st.integers(1, 3))
                server = draw(st.sampled_from(("cs1", "cs2", "cs3")))
                held.append(Held(time, chunk.handle, version, server, place, append.record))
    return grants, held


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

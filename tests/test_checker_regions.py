"""Reading replicas side by side."""

from __future__ import annotations

import random

from harness.checker.evidence import Extent, overlapping
from harness.checker.regions import State, merge
from harness.history import Append, Kind, OpId, Outcome, RecordId, Segment


def tiles(*pieces: tuple[Kind, str, int]) -> tuple[Segment, ...]:
    segments: list[Segment] = []
    for kind, content, length in pieces:
        segments.append(Segment(segments[-1].end if segments else 0, length, kind, content))
    return tuple(segments)


RECORD, PADDING, FRAGMENT = Kind.RECORD, Kind.PADDING, Kind.FRAGMENT


def spans(*replicas: tuple[Segment, ...]) -> list[tuple[int, int, State]]:
    return [(region.start, region.end, region.state) for region in merge(replicas)]


def test_same_record_everywhere_is_defined() -> None:
    replica = tiles((RECORD, "a", 10))
    assert spans(replica, replica, replica) == [(0, 10, State.DEFINED)]


def test_padding_is_consistent_however_it_is_cut() -> None:
    one, other = tiles((PADDING, "", 10)), tiles((PADDING, "", 4), (PADDING, "", 6))
    assert spans(one, other) == [(0, 10, State.CONSISTENT)]


def test_data_of_a_write_is_the_same_however_it_is_cut() -> None:
    one, other = tiles((Kind.WRITE, "w", 10)), tiles((Kind.WRITE, "w", 4), (Kind.WRITE, "w", 6))
    assert spans(one, other) == [(0, 10, State.CONSISTENT)]


def test_shorter_replica_makes_the_rest_inconsistent() -> None:
    one, other = tiles((RECORD, "a", 10), (RECORD, "b", 5)), tiles((RECORD, "a", 10))
    assert spans(one, other) == [(0, 10, State.DEFINED), (10, 15, State.INCONSISTENT)]


def test_same_record_at_shifted_offsets_is_inconsistent() -> None:
    one, other = tiles((PADDING, "", 2), (RECORD, "a", 4)), tiles((RECORD, "a", 4), (PADDING, "", 2))
    assert {state for _, _, state in spans(one, other)} == {State.INCONSISTENT}


def test_fragments_are_consistent_but_not_defined() -> None:
    replica = tiles((FRAGMENT, "a", 3))
    assert spans(replica, replica) == [(0, 3, State.CONSISTENT)]


def test_no_replica_has_no_regions() -> None:
    assert spans() == []
    assert spans((), ()) == []


def test_regions_tile_the_longest_replica_and_agree_with_every_byte() -> None:
    rng = random.Random(5)
    for _ in range(200):
        replicas = [
            tiles(*(random_piece(rng) for _ in range(rng.randrange(6)))) for _ in range(rng.randrange(1, 5))
        ]
        regions = list(merge(replicas))
        longest = max((replica[-1].end for replica in replicas if replica), default=0)
        assert [region.start for region in regions] == [0, *(region.end for region in regions)][
            : len(regions)
        ]
        assert (regions[-1].end if regions else 0) == longest
        for region in regions:
            for place in range(region.start, region.end):
                shown = {byte_at(replica, place) for replica in replicas}
                assert (len(shown) > 1) == (region.state is State.INCONSISTENT)


def random_piece(rng: random.Random) -> tuple[Kind, str, int]:
    kind = rng.choice((RECORD, PADDING, FRAGMENT))
    return kind, "" if kind is PADDING else rng.choice("ab"), rng.randrange(1, 4)


def byte_at(replica: tuple[Segment, ...], place: int) -> object:
    held = next((segment for segment in replica if segment.start <= place < segment.end), None)
    return PADDING if held is not None and held.kind is PADDING else held


def test_overlaps_of_segments_and_extents_are_all_found() -> None:
    rng = random.Random(8)
    append = Append(OpId(1), "c1", "/log", RecordId("a"), 1, 0.0, 1.0, Outcome.OK, 0, 1)
    for _ in range(200):
        replica = tiles(*(random_piece(rng) for _ in range(6)))
        starts = sorted(rng.randrange(15) for _ in range(4))
        extents = [Extent(start, start + rng.randrange(1, 6), append) for start in starts]
        expected = [
            (segment, extent)
            for segment in replica
            for extent in extents
            if max(segment.start, extent.start) < min(segment.end, extent.end)
        ]
        assert list(overlapping(replica, extents)) == expected

"""Lab 3's reference, parts B and C: the buffer and the order of mutations, as tables."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from labkit import errors


def put(buffer: Any, data_id: str, data: bytes) -> None:
    buffer.put(data_id, 0, len(data), data)


def test_the_buffer_evicts_what_was_unused_for_longest(lab: Any) -> None:
    buffer = lab("buffer").DataBuffer(10, 6)
    put(buffer, "a", b"1234")
    put(buffer, "b", b"1234")
    assert buffer.get("a") == b"1234"
    put(buffer, "c", b"1234")
    assert [buffer.get(name) for name in "abc"] == [b"1234", None, b"1234"]
    put(buffer, "d", b"")
    assert buffer.get("d") == b"" and buffer.get("a") == b"1234"


def test_an_item_above_the_limit_is_refused_and_evicts_nothing(lab: Any) -> None:
    buffer = lab("buffer").DataBuffer(10, 6)
    put(buffer, "a", b"1234")
    with pytest.raises(errors.TooLarge):
        buffer.put("b", 0, 7, b"123")
    for offset, data in ((-1, b"12"), (5, b"12"), (7, b"")):
        with pytest.raises(errors.BadArguments):
            buffer.put("b", offset, 6, data)
    assert buffer.get("a") == b"1234" and buffer.get("b") is None


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_pieces_are_data_once_all_are_here(lab: Any, order: tuple[int, ...]) -> None:
    data = b"abcdefghij"
    buffer = lab("buffer").DataBuffer(20, 10)
    for turn, index in enumerate(order):
        assert buffer.get("d") is None
        for _ in range(1 + turn % 2):  # some of them twice
            buffer.put("d", 3 * index, 10, data[3 * index : 3 * index + 3])
    assert buffer.get("d") == data
    buffer.put("d", 3, 10, data[3:6])
    assert buffer.get("d") == data


def test_data_that_is_cut_anew_is_not_mixed_up(lab: Any) -> None:
    buffer = lab("buffer").DataBuffer(20, 10)
    buffer.put("d", 0, 10, b"abcdef")
    buffer.put("d", 4, 10, b"efgh")
    buffer.put("d", 0, 10, b"abcd")
    assert buffer.get("d") is None
    buffer.put("d", 8, 10, b"ij")
    assert buffer.get("d") == b"abcdefghij"


def test_pieces_of_data_that_never_comes_are_evicted(lab: Any) -> None:
    buffer = lab("buffer").DataBuffer(20, 10)
    for number in range(30):
        buffer.put(f"d{number}", 0, 10, b"123456")
    assert buffer._held <= 20
    assert buffer.get("d29") is None
    buffer.put("d29", 6, 10, b"7890")
    assert buffer.get("d29") == b"1234567890"


# Events: (time, "arrive", serial, "ok" or "refused") and (time, "turn", serial, expected delay); a delay of 0
# means that it is applied there and then.
TURNS = {
    "in order": [(0, "arrive", 1, "ok"), (0, "turn", 1, 0), (0, "arrive", 2, "ok"), (0, "turn", 2, 0)],
    "a later one waits for the earlier": [
        (0, "arrive", 2, "ok"),
        (0, "turn", 2, 2),
        (1, "arrive", 1, "ok"),
        (1, "turn", 2, 1),
        (1, "turn", 1, 0),
        (1, "turn", 2, 0),
    ],
    "what never comes is given up, and refused later": [
        (0, "arrive", 3, "ok"),
        (1.5, "turn", 3, 0.5),
        (2, "turn", 3, 0),
        (2, "arrive", 1, "refused"),
        (2, "arrive", 2, "refused"),
        (2, "arrive", 4, "ok"),
        (2, "turn", 4, 0),
    ],
    "giving up lets the lowest waiting go first": [
        (0, "arrive", 3, "ok"),
        (1, "arrive", 2, "ok"),
        (2, "turn", 3, float("inf")),
        (2, "turn", 2, 0),
        (2, "turn", 3, 0),
    ],
    "one gap given up does not give up the next": [
        (0, "arrive", 2, "ok"),
        (1, "arrive", 4, "ok"),
        (2, "turn", 2, 0),
        (2, "turn", 4, 1),
        (2, "arrive", 3, "ok"),
        (2, "turn", 3, 0),
        (2, "turn", 4, 0),
    ],
    "the same number twice": [
        (0, "arrive", 1, "ok"),
        (0, "arrive", 1, "refused"),
        (0, "turn", 1, 0),
        (0, "arrive", 1, "refused"),
    ],
}


@pytest.mark.parametrize("events", TURNS.values(), ids=TURNS.keys())
def test_turns(lab: Any, events: list[tuple[float, str, int, Any]]) -> None:
    turns = lab("serials").Turns(2.0)
    for now, what, serial, expected in events:
        if what == "turn":
            assert turns.delay(serial, now) == expected, (now, what, serial)
            if expected == 0:
                turns.done(serial)
        elif expected == "ok":
            turns.arrive(serial, now)
        else:
            with pytest.raises(errors.OutOfOrder):
                turns.arrive(serial, now)

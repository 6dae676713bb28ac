"""What a strict primary reads out of its own replica, and when a client stays with a chunk."""

from __future__ import annotations

from typing import Any

import pytest

from labkit import errors
from tests.client.world import CHUNK, StillClock, World, frame


def test_an_empty_replica_leaves_nothing_in_doubt(lab: Any) -> None:
    assert lab("book").read_book(3, b"", CHUNK) == lab("book").Book(3, {}, None)


def test_the_last_record_is_in_doubt(lab: Any) -> None:
    first, second = frame(lab, b"first", 7, 1), frame(lab, b"second", 7, 2)
    book = lab("book").read_book(3, first + second, CHUNK)
    assert book.offsets == {(7, 1): 0, (7, 2): len(first)}
    assert book.in_doubt == lab("book").Piece(len(first), len(second))


def test_padding_is_in_doubt_and_the_records_before_it_are_not(lab: Any) -> None:
    record = frame(lab, b"first")
    book = lab("book").read_book(3, record.ljust(CHUNK, b"\0"), CHUNK)
    assert book.in_doubt == lab("book").Piece(len(record), CHUNK - len(record), padding=True)


def test_zeros_before_the_end_of_the_chunk_are_no_padding(lab: Any) -> None:
    record = frame(lab, b"first")
    book = lab("book").read_book(3, record + bytes(9), CHUNK)
    assert book.in_doubt == lab("book").Piece(len(record), 9)


def test_a_record_that_ends_with_the_chunk_is_in_doubt_itself(lab: Any) -> None:
    record = frame(lab, bytes(CHUNK - 28))
    assert lab("book").read_book(3, record, CHUNK).in_doubt == lab("book").Piece(0, CHUNK)


def test_of_copies_the_first_is_the_one_to_answer_with(lab: Any) -> None:
    record = frame(lab, b"first")
    assert lab("book").read_book(3, record * 2, CHUNK).offsets == {(7, 1): 0}


def test_only_one_whole_record_has_an_identity(lab: Any) -> None:
    record = frame(lab, b"first", 7, 9)
    assert lab("book").identity(record) == (7, 9)
    for data in (b"", b"x", record[:-1], record + b"\0", record * 2):
        with pytest.raises(errors.BadArguments):
            lab("book").identity(data)


def test_a_record_in_doubt_stays_with_its_chunk(client: Any, world: World, clock: StillClock) -> None:
    """Somebody else adds a chunk meanwhile, and the client has forgotten which one was the last."""
    client.append("/f", b"first")

    def another_chunk() -> None:
        world.new_chunk("/f")
        clock.advance(100.0)

    world.script("cs1", "append", another_chunk, errors.CallTimeout())
    world.script("cs1", "push", lambda: None, errors.UnknownData())
    assert client.append("/f", b"second") < CHUNK

    world.script("cs1", "append", errors.CallTimeout(), errors.ChunkFull())
    assert client.append("/f", b"third") >= CHUNK

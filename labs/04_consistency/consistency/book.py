"""What a replica by itself tells its primary: which records it holds, and what is in doubt.

The memory of a primary that detects duplicates has to outlive it, so it is the replica: every record carries
its identity (records.py). In a chunk whose every append went through strict.py, a replica is records one behind the
other, perhaps with padding at the end, and of all that only the last piece can be missing elsewhere: no
primary begins anything new before its last piece is on every replica.

Pure: bytes in, facts out.
"""

from __future__ import annotations

from dataclasses import dataclass

from consistency.records import RecordId


@dataclass(frozen=True, slots=True)
class Piece:
    """What one mutation left in a replica: a record, or the padding at the end of the chunk."""

    offset: int
    length: int
    padding: bool = False


@dataclass(slots=True)
class Book:
    """The records of a replica at `version`: where each is, and the piece other replicas may not have."""

    version: int
    offsets: dict[RecordId, int]
    in_doubt: Piece | None
    # Whether the other replicas were asked for what they have behind the end of this one.
    compared: bool = False


def read_book(version: int, data: bytes, chunk_size: int) -> Book:
    """The book of a replica that holds `data`, all that a new primary knows.

    Of copies the first counts. In doubt is the last piece: what lies behind the last record, if anything does
    (it is padding if it is zeros up to the end of the chunk), else the last record. An empty replica has none.
    """
    raise NotImplementedError(
        "lab 4 part E: records.scan tells records from what was skipped, each with its place"
    )


def tail(start: int, data: bytes, chunk_size: int) -> Piece | None:
    """The piece that `data` is, which another replica holds behind this one's end at `start`; None for no data."""
    raise NotImplementedError("lab 4 part E: zeros up to the end of the chunk are padding")


def identity(frame: bytes) -> RecordId:
    """Of the one record that `frame` is; BadArguments if it is none, or more than one."""
    raise NotImplementedError("lab 4 part E: scan again: one record, nothing skipped")

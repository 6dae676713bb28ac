"""The checkpoint: the state as it was where one segment of the log begins, so that the log before it can go
and recovery stays short (GFS §2.6.3).

    in one section:  take a picture of the state; begin a new segment n
    aside:           write the picture and n to `checkpoint.new`, sync it, rename it to `checkpoint`
    then:            remove the segments before n

Renaming is atomic, and comes after the sync: at any moment there is one whole checkpoint, or none, with all
segments that follow it. A crash leaves at most a file that nobody reads and segments that nobody needs.

Service goes on. The picture is quickly taken, because chunks are values that never change and a file's array
only grows (namespace.py). Writing takes long, in a thread of its own, in small pieces; Python runs one thread
at a time, so after each piece the others have their turn.

The file holds records as the log does. The first says n, the last how many there are.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from gfs_master.chunks import Chunk
from gfs_master.oplog import LogBroken
from gfs_master.state import State
from labkit.disk import Disk

NAME = "checkpoint"
ASIDE = "checkpoint.new"
FILES, CHUNKS = 40, 100  # in one piece: what takes about as long as a question to the master
BUFFER = 256 * 1024


@dataclass(frozen=True)
class Picture:
    """A state at one moment. The arrays may have grown since; the lengths tell what belongs to it."""

    next_handle: int
    directories: list[str]
    files: list[tuple[str, array[int], int]]
    chunks: Mapping[int, Chunk]
    hidden: Mapping[str, float]
    shared: Mapping[int, int]


def take(state: State) -> Picture:
    """A picture of the state; quick, since it copies tables and not what is in them. Needs the master's lock."""
    raise NotImplementedError("lab 2 part D: list() or dict() of each table")


def write(disk: Disk, picture: Picture, segment: int) -> None:
    """Put the picture in the place of the checkpoint there is, durably and atomically; the log goes on in `segment`.
    OSError when the disk does not take it: the old one is still there then."""
    raise NotImplementedError("lab 2 part D: the module's docstring gives the order")


def read(disk: Disk) -> tuple[State, int]:
    """The state of the checkpoint, and the segment of the log that follows; an empty state and 1 when there is none.
    LogBroken when it is not whole."""
    raise NotImplementedError("lab 2 part D: what was being written aside is of no use")


def records(picture: Picture, segment: int) -> Iterator[dict[str, Any]]:
    """The records of a checkpoint, in order; what lies in a directory comes after it."""
    count = 2
    yield {"segment": segment}
    for record in _pieces(picture):
        count += 1
        yield record
    yield {"records": count}


class Loading:
    """A `state` that comes record by record."""

    def __init__(self) -> None:
        self.state = State()
        self._kinds: list[Chunk] = []

    def load(self, record: Mapping[str, Any]) -> None:
        """Add what a record between the first and the last holds."""
        state = self.state
        match record:
            case {"next_handle": int(next_handle)}:
                state.next_handle = next_handle
            case {"directories": [*paths]}:
                for path in paths:
                    state.namespace.put_directory(path)
            case {"files": [*files]}:
                for path, handles in files:
                    state.namespace.put_file(path, _numbers(handles))
            case {"kinds": [*kinds], "handles": handles, "which": which}:
                for version, attempted, told, primary in kinds:
                    self._kinds.append(Chunk(version, attempted, tuple(told), primary))
                state.chunks.update(
                    zip(_numbers(handles), map(self._kinds.__getitem__, _numbers(which)), strict=True)
                )
            case {"hidden": [*pairs]}:
                state.hidden.update((path, at) for path, at in pairs)
            case {"shared": [*pairs]}:
                state.shared.update((handle, places) for handle, places in pairs)
            case _:
                raise LogBroken(f"no record of a checkpoint: {record!r}")


def _pieces(picture: Picture) -> Iterator[dict[str, Any]]:
    yield {"next_handle": picture.next_handle}
    for paths in _batches(picture.directories, FILES):
        yield {"directories": paths}
    for files in _batches(picture.files, FILES):
        yield {"files": [[path, handles[:count].tobytes()] for path, handles, count in files]}
    numbers: dict[int, int] = {}
    for chunks in _batches(picture.chunks.items(), CHUNKS):
        yield _columns(chunks, numbers)
    for pairs in _batches(picture.hidden.items(), FILES):
        yield {"hidden": pairs}
    for pairs in _batches(picture.shared.items(), FILES):
        yield {"shared": pairs}


def _columns(chunks: list[tuple[int, Chunk]], numbers: dict[int, int]) -> dict[str, Any]:
    """Many chunks as few values: their handles and kinds as 64-bit numbers in the machine's byte order. A kind is
    written once, with the first chunk of it; `numbers` says which number it has, by id, since what is equal is
    mostly one object."""
    kinds: list[list[Any]] = []
    for _, chunk in chunks:
        if id(chunk) not in numbers:
            numbers[id(chunk)] = len(numbers)
            kinds.append([chunk.version, chunk.attempted, list(chunk.told), chunk.primary])
    return {
        "kinds": kinds,
        "handles": array("Q", [handle for handle, _ in chunks]).tobytes(),
        "which": array("Q", [numbers[id(chunk)] for _, chunk in chunks]).tobytes(),
    }


def _numbers(data: bytes) -> array[int]:
    numbers = array("Q")
    numbers.frombytes(data)
    return numbers


def _batches(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    left = iter(items)
    while batch := list(islice(left, size)):
        yield batch

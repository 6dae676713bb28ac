"""The durable state as a row of files, of which the last one counts: `state.1`, `state.2` and so on.

Each begins with how many records its image has, then has the image, then the operations since. A generation is written under
another name, synced, and renamed, so that one with its right name has its whole image; then the one before goes.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from typing import Any

from gfs_master.chunks import Chunk
from gfs_master.operations import from_record
from gfs_master.state import State

from labkit import codec
from labkit.checksum import crc32c
from labkit.disk import Disk, File
from labkit.errors import LabError

NAME, DRAFT = "state.", "draft"
_HEAD = struct.Struct("<QI")
SHIPMENT = 512 * 1024


class LogBroken(LabError):
    pass


def encode(record: Any) -> bytes:
    body = codec.pack(record)
    return _HEAD.pack(len(body), crc32c(body)) + body


def whole(data: bytes) -> Iterator[tuple[Any, int]]:
    at = 0
    while len(data) >= at + _HEAD.size:
        length, check = _HEAD.unpack_from(data, at)
        body = data[at + _HEAD.size : at + _HEAD.size + length]
        if not 0 < length == len(body) or crc32c(body) != check:
            return
        at += _HEAD.size + length
        yield codec.unpack(body), at


def image(state: State) -> list[Any]:
    names = state.namespace
    found: list[Any] = [["next", state.next_handle]]
    found += [["directory", path] for path in names.directories()]
    found += [["file", path, list(file.chunks)] for path, file in names.files()]
    for handle, chunk in state.chunks.items():
        found.append(["chunk", handle, chunk.version, chunk.attempted, list(chunk.told), chunk.primary])
    found += [["hidden", path, since] for path, since in state.hidden.items()]
    found += [["shared", handle, places] for handle, places in state.shared.items()]
    return [["image", len(found)], *found]


class Builder:
    """A state, from the records of a generation one after the other."""

    def __init__(self) -> None:
        self.state = State()
        self._missing: int | None = None

    @property
    def whole(self) -> bool:
        """Whether all of the image has come."""
        return self._missing == 0

    def take(self, record: Any) -> None:
        state = self.state
        match record:
            case ["image", int(count)]:
                self._missing = count
                return
            case ["next", int(handle)]:
                state.next_handle = handle
            case ["directory", str(path)]:
                state.namespace.put_directory(path)
            case ["file", str(path), chunks]:
                state.namespace.put_file(path, array("Q", chunks))
            case ["chunk", handle, version, attempted, told, primary]:
                state.chunks[handle] = Chunk(version, attempted, tuple(told), primary)
            case ["hidden", str(path), since]:
                state.hidden[path] = since
            case ["shared", handle, places]:
                state.shared[handle] = places
            case Mapping():
                state.apply(from_record(record))
                return
            case _:
                raise LogBroken(f"no record: {record!r}")
        assert self._missing
        self._missing -= 1


class Generations:
    """Not thread-safe: used with the master's lock held."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self.number = 0
        self.size = 0  # of the file
        self.since = 0  # bytes of operations in it
        self._file: File | None = None
        self._dirty = False
        self._broken = False

    def recover(self) -> State:
        numbers = [int(name[len(NAME) :]) for name in self._disk.list() if name.startswith(NAME)]
        if not numbers:
            self._write(1, State())
            return State()
        self.number = max(numbers)
        self._file = self._disk.open(f"{NAME}{self.number}")
        data = self._file.pread(0, self._file.size())
        builder, begun = Builder(), 0
        for record, end in whole(data):
            builder.take(record)
            self.size = end
            begun = begun or (end if builder.whole else 0)
        if not builder.whole:
            raise LogBroken("half an image")
        if self.size < len(data):
            self._file.truncate(self.size)
        self._file.sync()
        self.since = self.size - begun
        self._drop_older()
        return builder.state

    def append(self, record: Any) -> None:
        if self._broken or self._file is None:
            raise LogBroken("the disk has failed")
        data = encode(record)
        try:
            self._file.pwrite(self.size, data)
        except OSError:
            try:
                self._file.truncate(self.size)
            except OSError:
                self._broken = True
            raise
        self.size += len(data)
        self.since += len(data)
        self._dirty = True

    def sync(self) -> None:
        if self._broken:
            raise LogBroken("the disk has failed")
        if self._dirty and self._file is not None:
            try:
                self._file.sync()
            except OSError as error:
                self._broken = True
                raise LogBroken("the disk has failed") from error
            self._dirty = False

    def next(self, state: State) -> None:
        self._write(self.number + 1, state)
        self._drop_older()

    def read(self, file: str, position: int) -> tuple[str, int, bytes]:
        mine = f"{NAME}{self.number}"
        if file != mine or position > self.size:
            position = 0
        assert self._file is not None
        return mine, position, self._file.pread(position, min(SHIPMENT, self.size - position))

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file, self._broken = None, True

    def _write(self, number: int, state: State) -> None:
        data = b"".join(map(encode, image(state)))
        with closing(self._disk.open(DRAFT, create=True)) as file:
            file.truncate(0)
            file.pwrite(0, data)
            file.sync()
        self._disk.replace(DRAFT, f"{NAME}{number}")
        if self._file is not None:
            self._file.close()
        self._file = self._disk.open(f"{NAME}{number}")
        self.number, self.size, self.since, self._dirty = number, len(data), 0, False

    def _drop_older(self) -> None:
        for name in self._disk.list():
            if name == DRAFT or (name.startswith(NAME) and int(name[len(NAME) :]) < self.number):
                with suppress(OSError):
                    self._disk.remove(name)

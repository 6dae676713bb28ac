"""The checkpoint: a line for every directory, file and chunk."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

from gfs_master.chunks import Chunk
from gfs_master.oplog import LogBroken, encode, walk
from gfs_master.state import State

from labkit.disk import Disk

NAME, ASIDE = "image", "image-in-the-making"

Picture = list[dict[str, Any]]


def take(state: State) -> Picture:
    picture: Picture = [{"next_handle": state.next_handle}]
    picture += [{"directory": path} for path in state.namespace.directories()]
    picture += [{"file": path, "chunks": list(file.chunks)} for path, file in state.namespace.files()]
    picture += [
        {
            "chunk": handle,
            "version": one.version,
            "attempted": one.attempted,
            "told": list(one.told),
            "primary": one.primary,
        }
        for handle, one in state.chunks.items()
    ]
    picture += [{"hidden": path, "since": since} for path, since in state.hidden.items()]
    picture += [{"shared": handle, "places": places} for handle, places in state.shared.items()]
    return picture


def records(picture: Picture, segment: int) -> Iterator[dict[str, Any]]:
    yield {"segment": segment}
    yield from picture
    yield {"records": len(picture)}


def write(disk: Disk, picture: Picture, segment: int) -> None:
    with closing(disk.open(ASIDE, create=True)) as file:
        file.truncate(0)
        at = 0
        for record in records(picture, segment):
            line = encode(record)
            file.pwrite(at, line)
            at += len(line)
        file.sync()
    disk.replace(ASIDE, NAME)


def read(disk: Disk) -> tuple[State, int]:
    if disk.exists(ASIDE):
        disk.remove(ASIDE)
    if not disk.exists(NAME):
        return State(), 1
    with closing(disk.open(NAME)) as file:
        found = [record for record, _ in walk(file.pread(0, file.size()))]
    if len(found) < 2 or found[-1] != {"records": len(found) - 2}:
        raise LogBroken("half an image")
    loading = Loading()
    for record in found[1:-1]:
        loading.load(record)
    return loading.state, found[0]["segment"]


class Loading:
    def __init__(self) -> None:
        self.state = State()

    def load(self, record: Mapping[str, Any]) -> None:
        state = self.state
        match record:
            case {"next_handle": handle}:
                state.next_handle = handle
            case {"directory": path}:
                state.namespace.put_directory(path)
            case {"file": path, "chunks": chunks}:
                state.namespace.put_file(path, array("Q", chunks))
            case {
                "chunk": handle,
                "version": version,
                "attempted": attempted,
                "told": told,
                "primary": primary,
            }:
                state.chunks[handle] = Chunk(version, attempted, tuple(told), primary)
            case {"hidden": path, "since": since}:
                state.hidden[path] = since
            case {"shared": handle, "places": places}:
                state.shared[handle] = places
            case _:
                raise LogBroken(f"what is {record!r}?")

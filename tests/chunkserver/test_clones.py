"""Lab 3's reference, part E: clones and copies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from labkit import errors
from tests.chunkserver.world import BLOCK, CHUNK, Cell, Crash, MemoryDisk, every_crash, replica_with


def clone(cell: Cell, server: str, source: str, version: int, final: bool = True) -> None:
    cell.call(server, "clone_chunk", handle=7, version=version, source=source, final=final)


def fetched(cell: Cell, disk: Path) -> int:
    return (disk / "7.part").stat().st_size if (disk / "7.part").exists() else 0


def test_a_clone_is_no_replica_before_the_last_step(trio: Cell, tmp_path: Path) -> None:
    trio.start("d")
    first, second = b"x" * 30, b"y" * 5
    trio.append(first, "a", "b", "c")
    clone(trio, "d", "a", 2, final=False)
    assert fetched(trio, tmp_path / "d") == 30
    assert trio.call("d", "inventory").value == {"chunks": []}
    with pytest.raises(errors.NoSuchChunk):
        trio.read("d")
    trio.append(second, "a", "b", "c")
    clone(trio, "d", "b", 2)
    assert trio.read("d") == first + second
    assert trio.call("d", "checksums", handle=7).value == trio.call("a", "checksums", handle=7).value
    clone(trio, "d", "b", 2)
    with pytest.raises(errors.StaleVersion):
        clone(trio, "d", "b", 1)
    trio.running.pop().stop()
    trio.start("d")
    assert trio.read("d") == first + second
    trio.lease(3, "a", "b", "c", "d")
    assert trio.append(b"z", "a", "b", "c", "d", version=3) == 35


def test_a_clone_names_its_version_and_older_replicas_give_way(trio: Cell, tmp_path: Path) -> None:
    trio.append(b"x" * 30, "a", "b", "c")
    trio.lease(3, "a", "b")
    trio.append(b"y" * 4, "a", "b", version=3)
    with pytest.raises(errors.ReplicaFailed):
        clone(trio, "c", "a", 2 + 2)
    assert trio.call("c", "inventory").value == {"chunks": [[7, 2, 30]]}
    clone(trio, "c", "a", 3)
    assert trio.call("c", "inventory").value == {"chunks": [[7, 3, 34]]}
    assert trio.read("c") == b"x" * 30 + b"y" * 4
    with (tmp_path / "c" / "7.data").open("r+b") as file:
        file.write(b"!")
    with pytest.raises(errors.Corrupt):
        trio.read("c")
    with pytest.raises(errors.ReplicaFailed):
        clone(trio, "b", "c", 4)  # nothing is copied from a damaged one
    clone(trio, "c", "b", 3)
    assert trio.read("c") == b"x" * 30 + b"y" * 4


def test_only_blocks_that_differ_are_fetched(lab: Any) -> None:
    disk = replica_with(lab, b"a" * BLOCK, b"b" * BLOCK, b"c" * 5)
    store = lab("store").Store(disk, BLOCK)
    store.recover()
    contents = store.get(7).contents
    staging = lab("staging").Staging(disk, 7, BLOCK)
    assert staging.missing(contents) == []
    other = lab("staging").Staging(disk, 8, BLOCK)
    assert other.missing(contents) == [0, 1, 2]
    other.put(1, b"b" * BLOCK)
    other.put(2, b"c" * 4 + b"!")
    assert other.missing(contents) == [0, 2]
    other.drop()
    assert other.missing(contents) == [0, 1, 2]
    runs = lab("cloning")._runs
    assert list(runs([])) == []
    assert list(runs([0, 2, 3, 9])) == [range(1), range(2, 4), range(9, 10)]
    assert [len(run) for run in runs(list(range(40)))] == [16, 16, 8]


def test_no_crash_while_a_replica_is_adopted_looks_like_one(lab: Any) -> None:
    contents = lab("store").Store(MemoryDisk(), BLOCK)
    contents.create(7, 3)
    contents.get(7).write(0, b"new " * 10)
    new = contents.get(7).contents

    def adopt(disk: MemoryDisk) -> None:
        store = lab("store").Store(disk, BLOCK)
        store.create(7, 2)
        store.get(7).write(0, b"old " * 5)
        staging = lab("staging").Staging(disk, 7, BLOCK)
        staging.put(0, b"new " * 10)
        staging.finish(new)
        store.adopt(7, new)

    clean = MemoryDisk()
    adopt(clean)
    for at, when, survival in every_crash(clean.operations):
        disk = MemoryDisk()
        disk.crash_at, disk.when, disk.survival = at, when, survival
        with pytest.raises(Crash):
            adopt(disk)
        store = lab("store").Store(disk.survivor(), BLOCK)
        store.recover()
        assert store.damaged() == []
        for replica in store.intact():
            held = bytes(replica.read(0, CHUNK)[2])
            assert held == b"new " * 10 if replica.version == 3 else (b"old " * 5).startswith(held)


def test_a_copy_is_a_replica_of_its_own(trio: Cell) -> None:
    trio.append(b"x" * 30, "a", "b", "c")
    for _ in range(2):
        trio.call("b", "copy_chunk", handle=7, version=2, copy=8)
    trio.append(b"y", "a", "b", "c")
    assert trio.call("b", "inventory").value == {"chunks": [[7, 2, 31], [8, 1, 30]]}
    assert bytes(trio.call("b", "read", handle=8, offset=0, length=99).payload) == b"x" * 30
    for wrong in ({"version": 1}, {"version": 3}):
        with pytest.raises(errors.StaleVersion):
            trio.call("b", "copy_chunk", handle=7, copy=9, **wrong)
    with pytest.raises(errors.NoSuchChunk):
        trio.call("b", "copy_chunk", handle=6, version=1, copy=9)


def test_a_write_is_on_all_replicas_over_what_was_there(trio: Cell) -> None:
    trio.append(b"x" * 30, "a", "b", "c")

    def write(offset: int, data: bytes, version: int = 2) -> None:
        data_id = trio.push(data, "a", "b", "c")
        trio.call("a", "write", handle=7, version=version, offset=offset, data_id=data_id)

    write(10, b"y" * 10)
    write(28, b"z" * 5)
    write(40, b"end")
    whole = b"x" * 10 + b"y" * 10 + b"x" * 8 + b"z" * 5 + bytes(7) + b"end"
    for name in "abc":
        assert trio.read(name) == whole
    assert trio.append(b"record", "a", "b", "c") == 43
    with pytest.raises(errors.StaleVersion):
        write(0, b"y", version=3)
    with pytest.raises(errors.BadArguments):
        write(CHUNK - 1, b"yy")
    with pytest.raises(errors.UnknownData):
        trio.call("a", "write", handle=7, version=2, offset=0, data_id="nobody pushed this")

"""Reading and scanning, against the scripted cluster."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from labkit import errors
from tests.client.world import CHUNK, StillClock, World, bodies, remote


def test_a_fresh_scan_never_reads_a_stale_replica(client: Any, world: World) -> None:
    client.append("/f", b"old")
    handle = world.files["/f"][0]
    assert bodies(client.scan("/f")) == [b"old"]
    world.change_lease(handle, "cs1", "cs2")
    client.append("/f", b"new")
    for _ in range(20):
        assert bodies(client.scan("/f")) == [b"old", b"new"]


def test_a_cached_scan_may_be_stale_but_not_for_long(
    client: Any, world: World, clock: StillClock, lab: Any
) -> None:
    client.append("/f", b"old")
    client.scan("/f")
    world.change_lease(world.files["/f"][0], "cs1", "cs2")
    client.append("/f", b"new")
    seen = {tuple(bodies(client.scan("/f", fresh=False))) for _ in range(30)}
    assert seen == {(b"old",), (b"old", b"new")}
    clock.advance(60.0)
    assert {tuple(bodies(client.scan("/f", fresh=False))) for _ in range(30)} == {(b"old", b"new")}


def test_a_cached_place_that_is_gone_is_asked_for_again(client: Any, world: World, clock: StillClock) -> None:
    client.append("/f", b"one")
    handle = world.files["/f"][0]
    world.where[handle] = ["cs1"]
    client.scan("/f")
    world.where[handle] = ["cs2"]
    world.always("cs1", "read", errors.Unreachable())
    before = clock.now()
    assert bodies(client.scan("/f", fresh=False)) == [b"one"]
    assert clock.now() - before < 2.0


def test_a_replica_of_a_lower_version_is_passed_over(client: Any, world: World) -> None:
    client.append("/f", b"old")
    handle = world.files["/f"][0]
    world.change_lease(handle, "cs1", "cs2")
    client.append("/f", b"new")
    # The master is wrong about cs3 (it came back and says so only later); its version gives it away.
    world.where[handle] = ["cs1", "cs2", "cs3"]
    for _ in range(20):
        assert bodies(client.scan("/f")) == [b"old", b"new"]
    assert world.count("read", "cs3") > 0


@pytest.mark.parametrize(
    "fault",
    [errors.Unreachable(), errors.CallTimeout(), remote("corrupt"), remote("no_such_chunk")],
    ids=lambda fault: str(fault) or type(fault).__name__,
)
def test_a_scan_goes_on_at_another_replica_and_raises_when_there_is_none(
    client: Any, lab: Any, world: World, clock: StillClock, fault: Exception
) -> None:
    for n in range(8):
        client.append("/f", bytes([n]) * 200)
    world.always("cs1", "read", fault)
    world.always("cs3", "read", fault)
    assert len(client.scan("/f")) == 8
    world.script("cs2", "read", *[fault] * 5)
    assert len(client.scan("/f")) == 8
    world.always("cs2", "read", fault)
    before = clock.now()
    with pytest.raises(lab("").ReadFailed):
        client.scan("/f")
    assert clock.now() - before < 350.0


def test_a_scan_waits_for_replicas_to_be_known_and_then_raises(client: Any, lab: Any, world: World) -> None:
    client.append("/f", b"one")
    handle = world.files["/f"][0]
    world.where[handle] = []
    world.script("master", "lookup", *[lambda: None] * 3, lambda: world.where.update({handle: ["cs2"]}))
    assert bodies(client.scan("/f")) == [b"one"]
    world.where[handle] = []
    with pytest.raises(lab("").ReadFailed, match="known replicas: none"):
        client.scan("/f")


def test_a_chunk_comes_from_one_replica_only(client: Any, lab: Any, world: World, monkeypatch: Any) -> None:
    monkeypatch.setattr(lab("reader"), "READ_SIZE", 100)
    for n in range(4):
        client.append("/f", bytes([n]) * 200)
    for server in world.servers:
        # The replica fails midway, on its third piece.
        world.script(server, "read", lambda: None, lambda: None, remote("corrupt"))
    world.calls.clear()
    assert len(client.scan("/f")) == 4
    reads = [server for server, method in world.calls if method == "read"]
    assert [len(list(run)) for run in runs(reads)] == [3, 3, 3, 10]


def runs(items: list[str]) -> Iterator[list[str]]:
    """Three reads by each replica in turn, then the rest."""
    for start in (0, 3, 6):
        assert len(set(items[start : start + 3])) == 1
        yield items[start : start + 3]
    assert len(set(items[9:])) == 1
    yield items[9:]


def test_a_replica_that_sends_less_than_it_has_is_no_source(client: Any, lab: Any, world: World) -> None:
    client.append("/f", b"one")
    original = world.chunkserver

    def nothing(server: str, method: str, args: dict[str, Any]) -> tuple[Any, bytes]:
        answer, payload = original(server, method, args)
        return answer, payload if server == "cs2" else b""

    world.chunkserver = nothing
    assert bodies(client.scan("/f")) == [b"one"]
    world.where[world.files["/f"][0]] = ["cs1", "cs3"]
    with pytest.raises(lab("").ReadFailed, match="no usable replica"):
        client.scan("/f")


def test_read_crosses_chunks_fills_holes_and_ends_with_the_file(client: Any, world: World) -> None:
    world.new_chunk("/f")
    world.new_chunk("/f")
    for server in world.servers:
        world.write(server, world.files["/f"][0], 0, b"a" * 1000)
        world.write(server, world.files["/f"][1], 0, b"b" * 30)
    whole = b"a" * 1000 + bytes(24) + b"b" * 30
    assert client.read("/f", 0, 5000) == whole
    assert client.read("/f", 990, 40) == whole[990:1030]
    assert client.read("/f", 2000, 10) == b""
    assert client.read("/f", 9000, 10) == b""
    with pytest.raises(errors.NoSuchFile):
        client.read("/nothing", 0, 1)


def test_bytes_that_came_while_the_master_was_asked_are_no_hole(client: Any, world: World) -> None:
    first = world.new_chunk("/f")

    def others_append() -> None:
        for server in world.servers:
            world.write(server, first, 0, b"a" * CHUNK)
        second = world.new_chunk("/f")
        for server in world.servers:
            world.write(server, second, 0, b"b" * 10)

    world.script("master", "stat", others_append)
    assert client.read("/f", 0, 2 * CHUNK) == b"a" * CHUNK + b"b" * 10


def test_what_does_not_exist_is_said_at_once(client: Any, world: World) -> None:
    with pytest.raises(errors.NoSuchFile):
        client.scan("/nothing")
    with pytest.raises(errors.FileExists):
        client.create("/f")
    assert client.scan("/f") == []

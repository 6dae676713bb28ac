"""Lab 2's reference: names, versions, placement, replicas, servers, as tables."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import pytest

from labkit import errors
from tests.master.world import LIMITS, table


@pytest.mark.parametrize("path", ["/", "/a", "/a/b", "/a b", "/ä", "/...", "/.a", "/" + "x" * 4095])
def test_valid_paths(lab: SimpleNamespace, path: str) -> None:
    assert lab.namespace.check_path(path) == path


INVALID = ["", "a", "a/b", "//", "/a/", "//a", "/a//b", "/.", "/..", "/a/./b", "/a/../b", "/a\0b"]


TOO_LONG = ["/" + "x" * 4096, "/" + "ä" * 2048]


@pytest.mark.parametrize("path", [*INVALID, *TOO_LONG, None, 7, b"/a", ["/a"]])
def test_invalid_paths(lab: SimpleNamespace, path: Any) -> None:
    with pytest.raises(errors.InvalidPath):
        lab.namespace.check_path(path)
    with pytest.raises(errors.InvalidPath):
        lab.namespace.Namespace().create(path)


def test_namespace_says_no_for_the_right_reason(lab: SimpleNamespace) -> None:
    names = lab.namespace.Namespace()
    names.create("/a")
    for path, error in [("/a", errors.FileExists), ("/", errors.FileExists), ("/d/a", errors.NoSuchFile)]:
        with pytest.raises(error):
            names.create(path)
    # A file is no directory.
    with pytest.raises(errors.NoSuchFile):
        names.create("/a/b")
    for path in ("/b", "/"):
        with pytest.raises(errors.NoSuchFile):
            names.file(path)
    with pytest.raises(errors.NoSuchFile):
        names.list("/a")


def test_list_is_sorted_and_full(lab: SimpleNamespace) -> None:
    names = lab.namespace.Namespace()
    for path in ("/b", "/a", "/ab"):
        names.create(path)
    assert names.list("/") == ["/a", "/ab", "/b"]


def test_chunks_have_no_gaps_and_no_negative_index(lab: SimpleNamespace) -> None:
    names = lab.namespace.Namespace()
    names.create("/a")
    for index in (1, -1):
        with pytest.raises(errors.NoSuchChunk):
            names.add_chunk("/a", index, 5)
    names.add_chunk("/a", 0, 5)
    names.add_chunk("/a", 1, 9)
    assert [names.handle_at("/a", index) for index in (0, 1)] == [5, 9]
    for index in (2, -1):
        with pytest.raises(errors.NoSuchChunk):
            names.handle_at("/a", index)


@pytest.mark.parametrize(
    ("version", "worth"),
    [(2, "STALE"), (3, "UP_TO_DATE"), (4, "UP_TO_DATE"), (5, "UP_TO_DATE"), (6, "UNHEARD_OF")],
)
def test_a_replica_between_committed_and_attempted_is_up_to_date(
    lab: SimpleNamespace, version: int, worth: str
) -> None:
    chunk = lab.chunks.Chunk(version=3, attempted=5, told=("a",), primary="a")
    assert lab.chunks.judge(chunk, version).name == worth


def choose(
    lab: SimpleNamespace, loads: list[tuple[str, str, int, int]], count: int, **more: Any
) -> list[str]:
    candidates = [lab.placement.Load(*load) for load in loads]
    return lab.placement.choose(candidates, count, random.Random(7), **more)


def test_placement_prefers_the_least_used(lab: SimpleNamespace) -> None:
    loads = [("a", "r", 900, 0), ("b", "r", 100, 0), ("c", "r", 500, 0), ("d", "r", 300, 0)]
    assert choose(lab, loads, 3) == ["b", "d", "c"]


def test_placement_spreads_over_racks_first(lab: SimpleNamespace) -> None:
    loads = [("a", "r1", 0, 0), ("b", "r1", 1, 0), ("c", "r2", 900, 0), ("d", "r2", 901, 0)]
    assert choose(lab, loads, 3) == ["a", "c", "b"]
    assert choose(lab, loads, 1, racks=["r1"]) == ["c"]


def test_placement_does_not_flood_the_emptiest_server(lab: SimpleNamespace) -> None:
    loads = [("new", "r", 0, lab.placement.BURST), ("a", "r", 900, 0), ("b", "r", 901, 0)]
    assert choose(lab, loads, 3) == ["a", "b", "new"]


def test_placement_takes_what_there_is_and_never_one_server_twice(lab: SimpleNamespace) -> None:
    loads = [("a", "r", 0, 0), ("b", "r", 0, 0)]
    assert sorted(choose(lab, loads, 3)) == ["a", "b"]
    assert choose(lab, [], 3) == []


def test_placement_leaves_the_rest_to_chance(lab: SimpleNamespace) -> None:
    candidates = [lab.placement.Load(name, "r", 0, 0) for name in "abcdef"]
    chosen = {lab.placement.choose(candidates, 1, random.Random(seed))[0] for seed in range(100)}
    assert chosen == set("abcdef")


@pytest.fixture
def replicas(lab: SimpleNamespace) -> Any:
    return lab.replicas.Replicas(settle=10.0)


def test_reports_say_who_has_what(replicas: Any) -> None:
    replicas.report("a", {1: 3, 2: 1}, 0.0, started=True)
    replicas.report("b", {1: 4}, 0.0, started=True)
    assert dict(replicas.of(1)) == {"a": 3, "b": 4}
    replicas.report("a", {2: 1}, 1.0, started=False)
    assert dict(replicas.of(1)) == {"b": 4}
    replicas.forget("b")
    assert (replicas.of(1), replicas.of(2)) == ((), (("a", 1),))


def test_an_older_report_takes_no_version_back(replicas: Any) -> None:
    replicas.report("a", {1: 3}, 0.0, started=True)
    replicas.confirm("a", 1, 4, 1.0)
    for time_, started in [(1.1, False), (50.0, True)]:
        replicas.report("a", {1: 3}, time_, started=started)
        assert dict(replicas.of(1)) == {"a": 4}


def test_a_heartbeat_that_may_be_older_takes_no_new_replica_away(replicas: Any) -> None:
    replicas.confirm("a", 1, 1, 100.0)
    replicas.report("a", {}, 109.9, started=False)
    assert dict(replicas.of(1)) == {"a": 1}
    replicas.report("a", {}, 110.0, started=False)
    assert dict(replicas.of(1)) == {}


def test_a_registration_without_the_chunk_is_believed_at_once(replicas: Any) -> None:
    replicas.confirm("a", 1, 1, 100.0)
    replicas.report("a", {}, 100.1, started=True)
    assert dict(replicas.of(1)) == {}


def test_damage_is_remembered_until_the_replica_is_dropped(replicas: Any) -> None:
    replicas.report("a", {1: 3}, 0.0, started=True)
    replicas.damage("a", [1], 0.5)
    replicas.report("a", {1: 3}, 1.0, started=False)
    assert dict(replicas.of(1)) == {}
    replicas.report("a", {}, 2.0, started=False)
    replicas.report("a", {1: 4}, 3.0, started=False)
    assert dict(replicas.of(1)) == {"a": 4}


def test_only_the_newest_message_counts(lab: SimpleNamespace) -> None:
    servers, News = table(lab), lab.servers.News
    assert servers.heartbeat("a", 5.0, 0, 30.0) is News.UNKNOWN
    assert servers.register("a", 100.0, 0, "r", 30.0) is News.FRESH
    assert servers.heartbeat("a", 99.0, 0, 31.0) is News.OLD
    assert servers.register("a", 99.0, 0, "r", 31.0) is News.OLD
    assert servers.heartbeat("a", 103.0, 0, 33.0) is News.FRESH
    # A repeat counts from when it was first heard, or a lease would outlive its primary's idea of it.
    assert servers.heartbeat("a", 103.0, 0, 36.0) is News.FRESH
    assert (servers.get("a").sent, servers.get("a").heard) == (103.0, 33.0)
    assert servers.register("a", 103.0, 0, "r", 37.0) is News.FRESH
    assert (servers.get("a").sent, servers.get("a").heard, servers.get("a").spoke) == (103.0, 33.0, True)


def test_silence_is_death(lab: SimpleNamespace) -> None:
    servers = table(lab)
    servers.register("a", 0.0, 0, "r", 30.0)
    for moment in range(31, 51):
        assert servers.find_dead(float(moment)) == []
    assert servers.find_dead(50.5) == ["a"]
    assert "a" not in servers
    servers.register("b", 0.0, 0, "r", 51.0)
    assert servers.is_fresh("b", 71.0)
    assert not servers.is_fresh("b", 71.1)


def test_jumps_are_no_time(lab: SimpleNamespace) -> None:
    clock = SimpleNamespace(now=lambda: clock.time, time=100.0)
    steady = lab.steady.SteadyTime(clock, longest=10.0)
    seen: list[float] = []
    for step in (0, 10, 10.5, 1e6, 0, 3, -50, 2, -1e6, 4):
        clock.time += step
        seen.append(steady.now())
    assert seen == [100, 110, 110, 110, 110, 113, 113, 115, 115, 119]


def test_nobody_is_taken_for_dead_right_after_the_start(lab: SimpleNamespace) -> None:
    servers = lab.servers.Servers(LIMITS, 100.0)
    had_time = [servers.have_had_time(float(moment)) for moment in range(100, 122)]
    assert had_time == [False] * 20 + [True] * 2


def test_creations_count_for_a_while(lab: SimpleNamespace) -> None:
    servers = table(lab)
    servers.register("a", 0.0, 5, "r", 30.0)
    servers.count_creation("a", 30.0)
    servers.count_creation("a", 60.0)
    servers.register("a", 40.0, 5, "r", 70.0)
    assert [load.recent for load in servers.loads(80.0)] == [2]
    assert [load.recent for load in servers.loads(95.0)] == [1]

"""Lab 2's reference against the model: single stories."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from tests.master_model.models import FILE, LIMITS, NAMES, ModelServer
from tests.master_model.world import World


@pytest.fixture
def calm(lab: SimpleNamespace) -> World:
    """A world without trouble: four servers alive, one chunk, its lease granted."""
    world = World(lab, calm=True)
    for server in [*world.servers.values()] * 2:
        world.beat(server)
    world.allocate()
    world.ask_lease()
    assert world.seen["lease"] == 1
    return world


def the_lease(world: World) -> Any:
    """The answer of the master when asked for the chunk's lease; None when it says to come again."""
    (handle,) = world.acknowledged
    return world.ask(lambda: world.granting.lease(handle))


def live(world: World, seconds: float) -> None:
    """All servers beat, and the master looks, once a second."""
    for _ in range(int(seconds)):
        world.clock.time += 1
        for server in world.servers.values():
            if server.up:
                world.beat(server)
        world.look()
        world.check()


def test_a_claimed_lease_outlives_the_master(calm: World) -> None:
    held = the_lease(calm)
    calm.start_master()
    live(calm, 3)
    assert the_lease(calm) == held


def test_a_primary_that_is_cut_off_keeps_its_lease_to_the_end_across_a_restart(calm: World) -> None:
    primary = the_lease(calm)["primary"]
    calm.servers[primary].cut = True
    calm.start_master()
    live(calm, LIMITS.lease - 2)
    assert the_lease(calm) is None
    assert calm.seen["no"] == 1
    live(calm, 3)
    assert the_lease(calm)["primary"] != primary


def test_a_restarted_primary_gives_its_lease_back_at_once(calm: World) -> None:
    held = the_lease(calm)
    server = calm.servers[held["primary"]]
    server.restart()
    server.up = True
    calm.clock.time += 1
    report = server.report()
    calm.heartbeats.register(server.name, report["sent"], report["chunks"], 0, "r")
    again = the_lease(calm)
    assert again["version"] > held["version"]
    assert {again["primary"], *again["secondaries"]} == {held["primary"], *held["secondaries"]}


def test_registering_again_without_a_restart_costs_no_lease_that_is_claimed(calm: World) -> None:
    held = the_lease(calm)
    server = calm.servers[held["primary"]]
    calm.clock.time += 1
    report = server.report()
    calm.heartbeats.register(server.name, report["sent"], report["chunks"], 0, "r")
    calm.clock.time += 1
    calm.beat(server)
    assert the_lease(calm) == held


def test_a_replaced_secondary_costs_the_primary_its_lease_and_nobody_the_chunk(calm: World) -> None:
    held = the_lease(calm)
    lost = calm.servers[held["secondaries"][0]]
    lost.restart()
    lost.replicas.clear()
    lost.up = True
    calm.clock.time += 1
    calm.heartbeats.register(lost.name, lost.now(), {}, 0, "r")
    live(calm, 1)
    again = the_lease(calm)
    assert again["version"] > held["version"]
    assert {again["primary"], *again["secondaries"]} == {held["primary"], *held["secondaries"]} - {lost.name}


def test_a_dead_secondary_is_left_out_and_its_replica_is_stale_when_it_returns(calm: World) -> None:
    held = the_lease(calm)
    (handle,) = calm.acknowledged
    gone = calm.servers[held["secondaries"][0]]
    gone.restart()
    live(calm, LIMITS.dead_after + 2)
    again = the_lease(calm)
    assert gone.name not in (again["primary"], *again["secondaries"])
    calm.write()
    live(calm, 2)
    gone.up = True
    live(calm, 2)
    assert handle not in gone.replicas, "the stale replica was not collected"
    assert gone.name not in calm.metadata.location(handle)["replicas"]


def test_a_member_that_was_away_while_nothing_was_granted_is_a_member_still(calm: World) -> None:
    held = the_lease(calm)
    gone = calm.servers[held["secondaries"][0]]
    gone.restart()
    live(calm, 10)
    gone.up = True
    live(calm, 2)
    assert the_lease(calm) == held


def test_a_dead_primary_is_not_handed_out_and_not_replaced_before_its_lease_ends(calm: World) -> None:
    held = the_lease(calm)
    calm.servers[held["primary"]].cut = True
    live(calm, LIMITS.dead_after + 2)
    assert the_lease(calm) is None
    live(calm, LIMITS.lease - LIMITS.dead_after - 4)
    assert the_lease(calm) is None
    live(calm, 4)
    assert the_lease(calm)["primary"] != held["primary"]


def test_a_grant_whose_answer_is_lost_may_have_been_taken(lab: SimpleNamespace) -> None:
    world = World(lab, calm=True)
    for server in [*world.servers.values()] * 2:
        world.beat(server)
    world.allocate()
    fates = iter(["fine", "fine", "fine", "answer lost"])
    world.fate = lambda: next(fates, "fine")  # type: ignore[method-assign]
    assert the_lease(world) is None
    (handle,) = world.acknowledged
    (primary,) = [server for server in world.servers.values() if server.is_primary(handle)]
    primary.cut = True
    assert the_lease(world) is None
    live(world, LIMITS.lease - 2)
    assert the_lease(world) is None
    live(world, 3)
    assert the_lease(world)["primary"] != primary.name


def test_after_a_restart_no_lease_leaves_out_a_replica_that_had_no_time_to_report(calm: World) -> None:
    live(calm, LIMITS.lease / 2)
    members = {the_lease(calm)["primary"], *the_lease(calm)["secondaries"]}
    for server in calm.servers.values():
        server.restart()
    calm.start_master()
    first, *others = (calm.servers[name] for name in sorted(members))
    calm.clock.time += LIMITS.lease + 1  # suspended, as far as the master can tell
    first.up = True
    for _ in range(2):
        calm.clock.time += 0.1
        calm.beat(first)
    assert the_lease(calm) is None
    for server in others:
        server.up = True
    live(calm, 3)
    assert {the_lease(calm)["primary"], *the_lease(calm)["secondaries"]} == members


def test_a_jump_of_the_clock_kills_nobody_and_costs_no_replica(calm: World) -> None:
    held = the_lease(calm)
    members = {held["primary"], *held["secondaries"]}
    calm.let_pass(LIMITS.lease + 1)
    calm.look()
    assert the_lease(calm) is None, "no primary can be chosen on the word of a heartbeat that old"
    for name in NAMES:
        calm.beat(calm.servers[name])
    held = the_lease(calm)
    assert {held["primary"], *held["secondaries"]} == members
    for jump in (LIMITS.lease + 1, 1e6, -100):
        calm.clock.jumped += jump
        calm.look()
        assert set(calm.metadata.servers.names()) == set(NAMES)
        assert the_lease(calm) == held, "the primary may have it still"
    calm.servers[held["primary"]].cut = True
    live(calm, LIMITS.lease - 1)
    assert the_lease(calm) is None
    live(calm, 2)
    assert the_lease(calm)["version"] > held["version"]


def test_a_round_that_gains_nothing_makes_no_replica_stale(calm: World) -> None:
    (handle,) = calm.acknowledged
    calm.write()
    live(calm, LIMITS.dead_after)
    holders = sorted(calm.metadata.up_to_date(handle))
    (free,) = set(NAMES) - set(holders)
    for down in ([free], holders, NAMES):
        source = holders[0]
        for name in down:
            calm.servers[name].up = False
        clone = calm.lab.granting.Clone(free, source)
        assert calm.ask(lambda clone=clone: (calm.granting.regroup(handle, clone=clone), "done")) is None
        with calm.metadata.section():
            assert sorted(calm.metadata.up_to_date(handle)) == holders
        calm.all_beat()
    calm.heal()


def test_the_primary_is_one_that_was_heard_lately(lab: SimpleNamespace) -> None:
    for heard in NAMES[:3]:
        world = World(lab, calm=True)
        world.servers["cs4"].cut = True
        world.allocate()
        for _ in range(4):
            world.let_pass(LIMITS.lease + 1)
            world.look()
            assert the_lease(world) is None
            world.beat(world.servers[heard])
            assert the_lease(world)["primary"] == heard
            world.beat(world.servers[heard])
            for server in world.servers.values():
                world.beat(server)


def test_a_late_claim_does_not_bring_back_a_lease_that_is_being_revoked(calm: World) -> None:
    held = the_lease(calm)
    server = calm.servers[held["primary"]]
    calm.clock.time += 1
    report = server.report()
    calm.heartbeats.register(server.name, report["sent"], report["chunks"], 0, "r")
    calm.clock.time += 1
    claim = server.report()
    fates = iter(["answer lost"])
    calm.fate = lambda: next(fates, "fine")  # type: ignore[method-assign]
    assert the_lease(calm) is None
    calm.heartbeats.heartbeat(**claim)
    assert the_lease(calm)["version"] > held["version"], "the primary has given this lease back"


def test_a_server_given_up_in_the_middle_of_a_grant_is_no_member(lab: SimpleNamespace) -> None:
    world = World(lab, calm=True)
    world.allocate()
    (handle,) = world.acknowledged
    gone = sorted(world.metadata.up_to_date(handle))[0]

    def meanwhile() -> None:
        if world.servers[gone].replicas[handle].version > 1 and gone in world.metadata.servers:
            world.metadata.servers._servers.pop(gone)
            world.metadata.replicas.forget(gone)

    world.meanwhile = meanwhile  # type: ignore[method-assign]
    lease = the_lease(world)
    assert gone not in (lease["primary"], *lease["secondaries"])
    assert world.servers[gone].replicas[handle].version < lease["version"], "its version says it is a member"


def test_a_server_that_says_it_has_no_replica_is_believed(calm: World) -> None:
    held = the_lease(calm)
    (handle,) = calm.acknowledged
    calm.let_pass(LIMITS.lease + 1)
    for server in calm.servers.values():
        calm.beat(server)
    lost = held["secondaries"][0]
    del calm.servers[lost].replicas[handle]
    assert lost not in (the_lease(calm)["primary"], *the_lease(calm)["secondaries"])
    assert calm.metadata.replicas.version(lost, handle) is None


def test_after_a_restart_no_chunk_is_made_of_the_few_servers_that_were_first(calm: World) -> None:
    calm.start_master()
    told = sorted(calm.metadata.expected)
    calm.clock.time += 1
    calm.beat(calm.servers[told[0]])
    calm.allocate()
    assert calm.chunks == 1
    live(calm, 2)
    calm.allocate()
    assert calm.chunks == 2
    new = max(calm.acknowledged)
    assert len(calm.metadata.location(new)["replicas"]) == LIMITS.replicas


def test_no_server_no_chunk_and_a_failed_creation_leaves_no_trace(lab: SimpleNamespace) -> None:
    world = World(lab, calm=True)
    for server in world.servers.values():
        server.cut = True
    world.allocate()
    assert world.chunks == 0
    assert world.metadata.state.namespace.file(FILE).chunks.tolist() == []
    for server in world.servers.values():
        server.cut = False
    world.allocate()
    assert world.chunks == 1


def test_another_server_takes_the_place_of_one_that_cannot_create(lab: SimpleNamespace) -> None:
    world = World(lab, calm=True)
    world.servers["cs1"].cut = True
    world.allocate()
    (handle,) = world.acknowledged
    assert world.metadata.location(handle)["replicas"] == ["cs2", "cs3", "cs4"]


def damaged(server: ModelServer, handle: int) -> dict[str, Any]:
    """A heartbeat in which the replica is damaged, and stored no longer."""
    server.world.clock.time += 1
    report = server.report()
    return {**report, "chunks": {key: value for key, value in report["chunks"].items() if key != handle}} | {
        "damaged": [handle]
    }


def test_a_damaged_replica_is_not_handed_out_until_it_is_dropped(calm: World) -> None:
    held = the_lease(calm)
    (handle,) = calm.acknowledged
    server = calm.servers[held["secondaries"][0]]
    assert calm.heartbeats.heartbeat(**damaged(server, handle))["delete"] == [], "it may be the only one"
    assert server.name not in calm.metadata.location(handle)["replicas"]
    live(calm, 2)
    assert server.name not in calm.metadata.location(handle)["replicas"]
    again = the_lease(calm)
    assert server.name not in (again["primary"], *again["secondaries"])
    assert calm.heartbeats.heartbeat(**damaged(server, handle))["delete"] == [handle]


def test_a_version_nobody_ever_logged_is_neither_believed_nor_deleted(calm: World) -> None:
    (handle,) = calm.acknowledged
    (other,) = set(NAMES) - set(calm.metadata.up_to_date(handle))
    calm.clock.time += 1
    report = {**calm.servers[other].report(), "chunks": {handle: 99}}
    assert calm.heartbeats.heartbeat(**report)["delete"] == []
    assert other not in calm.metadata.location(handle)["replicas"]


def test_an_orphan_is_collected_but_not_while_it_is_being_created(lab: SimpleNamespace) -> None:
    world = World(lab, calm=True)
    answers: list[Any] = []

    def meanwhile() -> None:
        for server in world.servers.values():
            world.clock.time += 0.1
            answers.append(world.heartbeats.heartbeat(**server.report()))

    world.meanwhile = meanwhile  # type: ignore[method-assign]
    world.allocate()
    assert answers and all(answer["delete"] == [] for answer in answers)
    world.clock.time += 1
    report = {**world.servers["cs1"].report(), "chunks": {77: 1}}
    assert world.heartbeats.heartbeat(**report)["delete"] == [77]


def test_no_lock_is_held_during_a_call(lab: SimpleNamespace) -> None:
    """The model acts in the middle of calls in the same thread, so a held lock would hang: be sure it would."""
    world = World(lab, 1)
    entered = threading.Event()

    def enter() -> None:
        with world.metadata.section():
            entered.set()

    with world.metadata.section():
        thread = threading.Thread(target=enter, daemon=True)
        thread.start()
        assert not entered.wait(0.05)
    assert entered.wait(5)
    thread.join()

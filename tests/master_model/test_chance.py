"""Lab 2's reference against the model: chance, and every point of a lease."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

from labkit import errors
from tests.master_model.models import EVENTS, LIMITS
from tests.master_model.world import World, run


def test_random_worlds_keep_every_promise(lab: SimpleNamespace) -> None:
    seen: Counter[str] = Counter()
    for seed in range(150):
        world = World(lab, seed)
        try:
            run(world, 120)
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error}") from error
        seen += world.seen
    # A model in which nothing happens would promise everything.
    assert all(seen[what] >= 40 for what in EVENTS), seen
    assert seen["late refused"], seen


def test_master_crashing_at_every_point_of_a_lease_loses_no_replica(lab: SimpleNamespace) -> None:
    def prepare() -> World:
        world = World(lab, calm=True)
        for server in world.servers.values():
            server.up = True
            world.beat(server)
            world.beat(server)
        world.allocate()
        return world

    def act(world: World) -> None:
        world.ask_lease()
        world.write()
        world.let_pass(LIMITS.lease + 1)
        for server in world.servers.values():
            world.beat(server)
        world.ask_lease()

    clean = prepare()
    before = clean.points
    act(clean)
    points = clean.points - before
    assert points > 20
    for point in range(1, points + 1):
        world = prepare()
        world.crash_in = point
        act(world)
        assert world.seen["crash"] == 1, point
        world.heal()
        (handle,) = world.acknowledged
        assert len(world.metadata.up_to_date(handle)) == LIMITS.replicas, (
            f"a replica was lost at point {point}"
        )


def test_lost_answers_at_every_call_leave_one_truth(lab: SimpleNamespace) -> None:
    """Every single call of a grant, lost on the way there or back, crossed with a master crash or none."""
    for fault in ("request lost", "request late", "answer lost"):
        for call in range(8):
            for crash in (False, True):
                world = World(lab, calm=True)
                for server in [*world.servers.values()] * 2:
                    world.beat(server)
                world.allocate()
                calls = iter(range(100))
                world.fate = lambda calls=calls, call=call, fault=fault: (
                    fault if next(calls) == call else "fine"
                )  # type: ignore[method-assign]
                world.ask_lease()
                world.fate = lambda: "fine"  # type: ignore[method-assign]
                if crash:
                    world.start_master()
                world.check()
                world.write()
                for _, late in world.late:
                    try:
                        late()
                    except errors.RemoteError:
                        world.seen["late refused"] += 1
                world.check()
                world.heal()

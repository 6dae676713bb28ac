"""Lab 2's reference: leases, as a table."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import pytest

from tests.master.world import LIMITS, table


def test_steps_for_every_standing(lab: SimpleNamespace) -> None:
    Standing, Step, next_step = lab.leases.Standing, lab.leases.Step, lab.leases.next_step
    expected = {
        Standing.OFFERED: (Step.REVOKE, Step.REVOKE),
        Standing.HELD: (Step.ANSWER, Step.ANSWER),
        Standing.RECOVERED: (Step.WAIT, Step.REVOKE),
        Standing.DOUBTED: (Step.REVOKE, Step.REVOKE),
        Standing.UNWANTED: (Step.REVOKE, Step.REVOKE),
    }
    for standing in Standing:
        lease = lab.leases.Lease(1, 2, "a", ("b",), 60.0, standing)
        assert (next_step(lease, False), next_step(lease, True)) == expected[standing]
    assert next_step(None, False) is next_step(None, True) is Step.GRANT


def test_a_lease_ends_and_stays_ended(leases: Any) -> None:
    assert leases.running(1, 59.9).until == 60.0
    assert leases.claim("a", [(1, 2)], 60.0, 60.0) == []
    assert leases.running(1, 60.0) is None
    assert leases.running(1, 0.0) is None
    assert leases.confirm(1, 2, 60.0) is None


@pytest.mark.parametrize(
    ("server", "claim"), [("b", (1, 2)), ("a", (1, 1)), ("a", (1, 3)), ("a", (2, 2)), ("c", (1, 2))]
)
def test_a_claim_of_something_else_renews_nothing(leases: Any, server: str, claim: tuple[int, int]) -> None:
    assert leases.claim(server, [claim], 30.0, 30.0) == []
    assert leases.running(1, 30.0).until == 60.0


def test_a_claim_renews_from_when_the_heartbeat_was_heard_and_never_shortens(leases: Any) -> None:
    assert leases.claim("a", [(1, 2)], 30.0, 31.0) == [1]
    assert leases.running(1, 89.0).until == 90.0
    assert leases.claim("a", [(1, 2)], 20.0, 32.0) == [1]
    assert leases.running(1, 89.0).until == 90.0


def test_what_becomes_of_each_standing(lab: SimpleNamespace, leases: Any) -> None:
    Standing = lab.leases.Standing

    def standing() -> Any:
        return leases.running(1, 1.0).standing

    assert standing() is Standing.OFFERED
    assert leases.confirm(1, 1, 1.0) is None
    assert leases.confirm(1, 2, 1.0).standing is standing() is Standing.HELD
    leases.doubt("b")
    assert standing() is Standing.HELD
    leases.doubt("a")
    assert standing() is Standing.DOUBTED
    assert leases.claim("a", [(1, 2)], 0.0, 1.0) == [1]
    assert standing() is Standing.HELD
    leases.condemn(leases.running(1, 1.0))
    leases.doubt("a")
    assert standing() is Standing.UNWANTED
    assert leases.claim("a", [(1, 2)], 1.0, 1.0) == []
    assert leases.confirm(1, 2, 1.0) is None
    assert standing() is Standing.UNWANTED
    leases = lab.leases.Leases(60.0)
    leases.recover({1: lab.leases.Offered(2, "a", ("b",))}.get, 0.0)
    assert leases.running(2, 1.0) is None
    assert leases.running(1, 59.9).until == 60.0
    leases.doubt("a")
    assert standing() is Standing.RECOVERED
    assert leases.claim("a", [(1, 2)], 0.0, 1.0) == [1]
    assert standing() is Standing.HELD


def test_an_older_lease_ends_nothing_but_itself(leases: Any) -> None:
    old = leases.running(1, 1.0)
    leases.end(old)
    assert leases.running(1, 1.0) is None
    leases.offer(1, 3, "b", [], 1.0)
    leases.end(old)
    leases.condemn(old)
    assert leases.running(1, 1.0).version == 3
    assert leases.running(1, 1.0).standing.name == "OFFERED"


def test_no_delay_and_no_skew_makes_a_lease_outlive_what_the_master_thinks(lab: SimpleNamespace) -> None:
    rng = random.Random(3)
    for _ in range(500):
        skew, sent_at = rng.uniform(-1e6, 1e6), rng.uniform(0, 100)
        heard_at = sent_at + rng.choice([0.0, rng.expovariate(0.2)])
        leases = lab.leases.Leases(LIMITS.lease)
        servers = table(lab)
        servers.register("a", sent_at + skew, 0, "r", heard_at)
        server = servers.get("a")
        held = leases.offer(1, 2, "a", [], server.heard)
        until_there = server.sent + LIMITS.lease - skew  # in real time, the master's
        assert until_there <= held.until + 1e-6

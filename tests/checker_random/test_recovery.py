"""A new primary that asks the others is never blamed, one that does not always is: on histories of a simulated strict GFS."""

from __future__ import annotations

import pytest

from harness.checker import Judgement, Name, Verdict, check, explain
from tests.checker_random.strict import StrictCluster

SEEDS = range(500)


def unrecovered(verdict: Verdict) -> bool:
    return Name.UNRECOVERED_RECORD in {anomaly.name for anomaly in verdict.standing.shortfalls}


@pytest.mark.parametrize("asks", [True, False])
def test_what_a_new_primary_forgets_is_found_and_nothing_else(asks: bool) -> None:
    taken_over = forgotten = 0
    for seed in SEEDS:
        cluster = StrictCluster(seed, asks=asks)
        history = cluster.run()
        verdict = check(history)
        assert verdict.judgement is Judgement.VALID, f"seed {seed}\n{explain(verdict, history)}"
        assert not verdict.standing.unjudged
        assert unrecovered(verdict) == bool(cluster.forgotten), f"seed {seed}\n{explain(verdict, history)}"
        taken_over += bool(cluster.taken_over)
        forgotten += bool(cluster.forgotten)
    # Otherwise the test would prove little.
    assert (taken_over > 10, forgotten > 10) == (asks, not asks), (taken_over, forgotten)

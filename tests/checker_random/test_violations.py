"""The checker on histories of a simulated GFS, valid and spoilt."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from harness.checker import Judgement, Name, check, explain
from tests.checker_random.simulated import Cluster
from tests.checker_random.spoiling import (
    Spoil,
    copy_once,
    diverge,
    give_out_twice,
    invent,
    lose,
    lower_limit,
    miss_after_opening,
    miss_beyond_cache,
    resurrect,
    straddle,
    tear,
    turn_back,
)


def test_legal_histories_raise_no_alarm() -> None:
    seen: Counter[str] = Counter()
    for seed in range(400):
        history = Cluster(seed).run()
        verdict = check(history)
        assert verdict.judgement is Judgement.VALID, f"seed {seed}\n{explain(verdict, history)}"
        seen.update(anomaly.name.value for anomaly in verdict.standing.shortfalls)
        seen["inconsistent"] += verdict.statistics.inconsistent_bytes > 0
        seen["all models"] += not verdict.standing.shortfalls
    # Otherwise the test would prove little.
    for rarity in ("duplicate-record", "partial-record", "outdated-read", "inconsistent", "all models"):
        assert seen[rarity] > 20, seen


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lose, Name.LOST_APPEND),
        (miss_after_opening, Name.LOST_APPEND),
        (miss_beyond_cache, Name.STALE_READ),
        (give_out_twice, Name.DOUBLY_ACKNOWLEDGED_OFFSET),
        (invent, Name.PHANTOM_RECORD),
        (tear, Name.TORN_RECORD),
        (diverge, Name.DIVERGENT_REPLICAS),
        (turn_back, Name.ORDER_CYCLE),
        (copy_once, Name.UNEXPLAINED_INCONSISTENCY),
        (lower_limit, Name.OVERSIZED_RECORD),
        (straddle, Name.STRADDLING_RECORD),
        (resurrect, Name.RESURRECTED_REPLICA),
    ],
)
def test_planted_violation_is_found(spoil: Spoil, expected: Name) -> None:
    spoiled_histories = 0
    for seed in range(60):
        spoiled = spoil(Cluster(seed).run(), random.Random(seed))
        if spoiled is None:
            continue
        spoiled_histories += 1
        verdict = check(spoiled)
        names = [anomaly.name for anomaly in verdict.anomalies]
        assert expected in names, f"seed {seed}: {names}"
        assert explain(verdict, spoiled)
    assert spoiled_histories > 15

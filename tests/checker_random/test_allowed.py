"""What GFS allows is found in simulated histories, and is no violation."""

from __future__ import annotations

import random

import pytest

from harness.checker import Judgement, Name, check, explain
from tests.checker_random.planting import (
    Plant,
    copy_everywhere,
    copy_somewhere,
    deny,
    miss_lately,
    miss_own,
    swap_chunks,
)
from tests.checker_random.simulated import Cluster


@pytest.mark.parametrize(
    ("plant", "expected"),
    [
        (miss_lately, {Name.OUTDATED_READ, Name.UNLINEARIZABLE_LOG}),
        (miss_own, {Name.SEQUENCE_CYCLE, Name.OUTDATED_READ, Name.UNLINEARIZABLE_LOG}),
        (deny, {Name.TRACE_OF_FAILURE}),
        (copy_everywhere, {Name.DUPLICATE_RECORD}),
        (copy_somewhere, {Name.DUPLICATE_RECORD, Name.PARTIAL_RECORD}),
        (swap_chunks, {Name.REORDERED_CHUNKS, Name.UNLINEARIZABLE_LOG}),
    ],
)
def test_what_gfs_allows_is_found_too(plant: Plant, expected: set[Name]) -> None:
    planted = 0
    for seed in range(120):
        history = plant(Cluster(seed).run(), random.Random(seed))
        if history is None:
            continue
        planted += 1
        verdict = check(history)
        assert verdict.judgement is Judgement.VALID, f"seed {seed}\n{explain(verdict, history)}"
        names = {one.name for one in verdict.standing.shortfalls}
        assert expected <= names, f"seed {seed}: {names}"
    assert planted > 30

"""The checker against plain definitions, on thousands of small drawn histories: every pair tried, every relation closed."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings

from harness.checker import Judgement, Name, check
from harness.checker.evidence import Evidence
from harness.checker.guarantees import BASE, STRICT
from harness.history import (
    History,
)
from tests.checker_naive.drawn import META, append_histories, write_histories
from tests.checker_naive.guarantees import EXHAUSTIVE, extents
from tests.checker_naive.shortfalls import DEFINITIONS


def compare(history: History) -> set[Name]:
    """Assert that checker and definitions agree; what is violated."""
    evidence = Evidence.of(history)
    found = {one.name for one in (*BASE, *STRICT) if one.anomalies(evidence)}
    defined = {name for name, violated in DEFINITIONS.items() if violated(evidence)}
    assert found == defined
    verdict = check(history)
    base = {one.name for one in BASE}
    assert (verdict.judgement is Judgement.INVALID) == bool(defined & base)
    if verdict.valid:
        assert {one.name for one in verdict.standing.shortfalls} == defined - base
        granted = {grant.handle for grant in history.grants}
        unseen = any(extents(evidence, view) and view.chunk.handle not in granted for view in evidence.views)
        assert unseen == bool(verdict.standing.unjudged)
        broken = unseen or Name.UNRECOVERED_RECORD in defined
        assert broken != any("recovery" in model for model in verdict.standing.satisfied)
    for anomaly in (*verdict.anomalies, *verdict.standing.shortfalls):
        limit = 2 * (history.meta.replicas + 2) if anomaly.name is Name.SEQUENCE_CYCLE else META.replicas + 2
        assert len(anomaly.witness.operations) <= limit
    return defined


def test_every_guarantee_has_a_definition() -> None:
    assert set(DEFINITIONS) == {one.name for one in (*BASE, *STRICT)} == set(Name)


@pytest.mark.timeout(900)
def test_appends_and_scans_are_judged_by_the_definitions() -> None:
    seen: Counter[Name | None] = Counter()

    @settings(EXHAUSTIVE, max_examples=3000)
    @given(append_histories())
    def agree(history: History) -> None:
        seen.update(compare(history) or [None])

    agree()
    # Otherwise agreement would say little: every anomaly came up, and so did histories without any.
    rare = {name: seen[name] for name in (None, *Name) if seen[name] < 10}
    assert rare.keys() <= {Name.LOST_WRITE, Name.MINGLED_WRITE}, rare


@pytest.mark.timeout(900)
def test_writes_are_judged_by_the_definitions() -> None:
    seen: Counter[Name | None] = Counter()

    @settings(EXHAUSTIVE, max_examples=1500)
    @given(write_histories())
    def agree(history: History) -> None:
        seen.update(compare(history) or [None])

    agree()
    wanted = (None, Name.LOST_WRITE, Name.MINGLED_WRITE, Name.PHANTOM_RECORD, Name.UNEXPLAINED_INCONSISTENCY)
    assert all(seen[name] >= 10 for name in wanted), seen

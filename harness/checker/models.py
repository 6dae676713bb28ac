"""Which consistency models a run satisfied.

The base model is GFS. Each stricter model adds some of the demands that GFS does not make: no duplicates,
all or none, no stale reads. Ordered by inclusion of their demands, the models are a lattice with GFS at the
bottom; a run that satisfies a model satisfies all the weaker ones.

Invariant: only a run that is valid in the base model satisfies any.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

from harness.checker.anomaly import Anomaly, Name
from harness.checker.evidence import Evidence
from harness.checker.graph import inclusions
from harness.checker.guarantees import STRICT

DEMANDS = {
    Name.DUPLICATE_RECORD: "no-duplicates",
    Name.PARTIAL_RECORD: "all-or-none",
    Name.OUTDATED_READ: "no-stale-reads",
}
BASE_MODEL = "gfs"

Model = frozenset[Name]
"""A model by the anomalies it forbids in addition to those of GFS."""


@dataclass(frozen=True, slots=True)
class Standing:
    """`satisfied`: all models the run satisfied, weakest first. `strongest`: those that no other includes.

    `shortfalls`: examples of what keeps the run out of the others.
    """

    satisfied: tuple[str, ...] = ()
    strongest: tuple[str, ...] = ()
    shortfalls: tuple[Anomaly, ...] = ()


def name(model: Model) -> str:
    """`gfs`, or `gfs+no-duplicates+…` in a fixed order."""
    return "+".join([BASE_MODEL, *(slug for anomaly, slug in DEMANDS.items() if anomaly in model)])


def models() -> Iterator[Model]:
    """Every model, the weakest first."""
    for size in range(len(DEMANDS) + 1):
        yield from map(frozenset, combinations(DEMANDS, size))


def standing(evidence: Evidence) -> Standing:
    """Where a run that is valid in the base model stands in the lattice."""
    shortfalls = [anomaly for guarantee in STRICT for anomaly in guarantee.anomalies(evidence)]
    broken = {anomaly.name for anomaly in shortfalls}
    satisfied = [model for model in models() if not model & broken]
    included = {weaker for _, weaker in inclusions(satisfied)}
    return Standing(
        tuple(map(name, satisfied)),
        tuple(name(model) for model in satisfied if model not in included),
        tuple(shortfalls),
    )

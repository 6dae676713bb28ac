"""Which consistency models a run satisfied.

The base model is GFS. Each stricter model adds some of the demands that GFS does not make; some demands include
others: a linearizable log is sequentially consistent, has no stale reads, and never goes back by a chunk. Ordered
by inclusion of their demands, the models are a lattice with GFS at the bottom; a run that satisfies a model
satisfies all the weaker ones, and the strongest it satisfied says everything.

Invariant: only a run that is valid in the base model satisfies any, and none satisfies a demand that its history does not
show enough to judge.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import combinations, islice

from harness.checker.anomaly import Anomaly, Name
from harness.checker.evidence import Evidence
from harness.checker.graph import downwards, inclusions
from harness.checker.guarantees import STRICT

DEMANDS = {
    Name.DUPLICATE_RECORD: "no-duplicates",
    Name.PARTIAL_RECORD: "all-or-none",
    Name.UNRECOVERED_RECORD: "recovery",
    Name.OUTDATED_READ: "no-stale-reads",
    Name.TRACE_OF_FAILURE: "failed-means-absent",
    Name.REORDERED_CHUNKS: "chunks-in-order",
    Name.SEQUENCE_CYCLE: "sequential",
    Name.UNLINEARIZABLE_LOG: "linearizable",
}
INCLUDES = {
    Name.UNLINEARIZABLE_LOG: (Name.OUTDATED_READ, Name.REORDERED_CHUNKS, Name.SEQUENCE_CYCLE),
}
BASE_MODEL = "gfs"

Model = frozenset[Name]
"""A model by the anomalies it forbids in addition to those of GFS."""


@dataclass(frozen=True, slots=True)
class Standing:
    """`satisfied`: all models the run satisfied, weakest first. `strongest`: those that no other includes.

    `shortfalls`: examples of what keeps the run out of the others. `unjudged`: demands nobody can judge here, and why.
    """

    satisfied: tuple[str, ...] = ()
    strongest: tuple[str, ...] = ()
    shortfalls: tuple[Anomaly, ...] = ()
    unjudged: tuple[tuple[str, str], ...] = ()

    @property
    def reasons(self) -> list[str]:
        """The shortfalls in words."""
        return [f"{anomaly.sentence} {anomaly.observed}" for anomaly in self.shortfalls]


def name(model: Model) -> str:
    """`gfs`, or `gfs+no-duplicates+…` in a fixed order, without demands that another one includes."""
    implied = {weaker for anomaly in model for weaker in INCLUDES.get(anomaly, ())}
    shown = [slug for anomaly, slug in DEMANDS.items() if anomaly in model and anomaly not in implied]
    return "+".join([BASE_MODEL, *shown])


def models() -> Iterator[Model]:
    """Every model, the weakest first: the sets of demands with all that they include."""
    for size in range(len(DEMANDS) + 1):
        for demands in map(frozenset, combinations(DEMANDS, size)):
            if all(demands.issuperset(INCLUDES.get(anomaly, ())) for anomaly in demands):
                yield demands


@cache
def lattice() -> tuple[tuple[Model, Model], ...]:
    """From each model to the next weaker ones."""
    return tuple(inclusions(models()))


def standing(evidence: Evidence) -> Standing:
    """Where a run that is valid in the base model stands in the lattice."""
    shortfalls = [anomaly for guarantee in STRICT for anomaly in guarantee.anomalies(evidence)]
    broken = {anomaly.name for anomaly in shortfalls}
    unseen = {guarantee.name: why for guarantee in STRICT for why in islice(guarantee.unseen(evidence), 1)}
    kept = frozenset(DEMANDS) - broken - unseen.keys()
    # What includes a demand that broke is broken itself, whatever its own search says.
    kept = frozenset(demand for demand in kept if kept.issuperset(INCLUDES.get(demand, ())))
    below = downwards(lattice(), kept)
    return Standing(
        tuple(name(model) for model in models() if model in below),
        (name(kept),),
        tuple(shortfalls),
        tuple((DEMANDS[anomaly], why) for anomaly, why in unseen.items()),
    )

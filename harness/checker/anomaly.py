"""What a guarantee is, and what breaking it looks like.

A `Guarantee` turns evidence into at most `EXAMPLES` anomalies: a wholly bad history would otherwise bury its
reader. An `Anomaly` teaches: the claim, what was expected, what stands there instead, and the smallest
witness, that is as few operations, replicas and offsets as suffice to see for oneself that the claim broke.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import islice

from harness.checker.evidence import Evidence
from harness.checker.regions import Region
from harness.history import Operation

EXAMPLES = 3


class Name(str, Enum):
    """Every anomaly, by the name that reports, tests and handouts use."""

    LOST_APPEND = "lost-append"
    DOUBLY_ACKNOWLEDGED_OFFSET = "doubly-acknowledged-offset"
    PHANTOM_RECORD = "phantom-record"
    TORN_RECORD = "torn-record"
    DIVERGENT_REPLICAS = "divergent-replicas"
    ORDER_CYCLE = "order-cycle"
    UNEXPLAINED_INCONSISTENCY = "unexplained-inconsistency"
    STRADDLING_RECORD = "straddling-record"
    OVERSIZED_RECORD = "oversized-record"
    STALE_READ = "stale-read"
    RESURRECTED_REPLICA = "resurrected-replica"
    LOST_WRITE = "lost-write"
    MINGLED_WRITE = "mingled-write"
    # Legal in GFS; they only break a stricter model.
    DUPLICATE_RECORD = "duplicate-record"
    PARTIAL_RECORD = "partial-record"
    OUTDATED_READ = "outdated-read"
    TRACE_OF_FAILURE = "trace-of-failure"
    REORDERED_CHUNKS = "reordered-chunks"
    SEQUENCE_CYCLE = "sequence-cycle"
    UNLINEARIZABLE_LOG = "unlinearizable-log"
    UNRECOVERED_RECORD = "unrecovered-record"


@dataclass(frozen=True, slots=True)
class Table:
    """Regions of one chunk, with one column per server; `base` is the chunk's first file offset."""

    path: str
    index: int
    base: int
    servers: tuple[str, ...]
    regions: tuple[Region, ...]


@dataclass(frozen=True, slots=True)
class Witness:
    """The operations, the servers and the file offsets (start, end) that show the anomaly.

    `edges` say how the operations, by their numbers here, contradict each other: one stands before the other because.
    `moments` are what else happened, and when.
    """

    operations: tuple[Operation, ...] = ()
    replicas: tuple[str, ...] = ()
    offsets: tuple[tuple[int, int], ...] = ()
    table: Table | None = None
    edges: tuple[tuple[int, int, str], ...] = ()
    moments: tuple[tuple[float, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """What one guarantee found: a sentence, and how expectation and observation differ."""

    sentence: str
    expected: str
    observed: str
    witness: Witness


@dataclass(frozen=True, slots=True)
class Anomaly:
    name: Name
    claim: str
    section: str
    sentence: str
    expected: str
    observed: str
    witness: Witness


def _nothing(_: Evidence) -> Iterator[str]:
    yield from ()


@dataclass(frozen=True, slots=True)
class Guarantee:
    """One promise. `find` yields its violations, the cheapest to explain first if it can choose.

    `unseen` yields why the history does not show enough to say that there are none.
    """

    name: Name
    claim: str
    section: str
    find: Callable[[Evidence], Iterator[Finding]]
    unseen: Callable[[Evidence], Iterator[str]] = _nothing

    def anomalies(self, evidence: Evidence) -> list[Anomaly]:
        return [
            Anomaly(
                self.name,
                self.claim,
                self.section,
                finding.sentence,
                finding.expected,
                finding.observed,
                finding.witness,
            )
            for finding in islice(self.find(evidence), EXAMPLES)
        ]

"""Judges a history: did the cluster keep the promises of GFS, and if not, what shows it best?

    history --evidence--> guarantees --anomalies--> verdict --explain--> text

`regions` reads the replicas of a chunk side by side, `graph` finds contradictions between orders, and
`guarantees` holds one module per promise. What GFS allows is never an anomaly: duplicates, padding,
inconsistent regions after failed appends, stale reads within the life of a location cache. `models` says
which stricter models, that forbid these one by one, a run satisfied all the same.

Cost: linear in the history, but for sorting.
"""

from harness.checker.anomaly import Anomaly, Name, Table, Witness
from harness.checker.explain import explain
from harness.checker.models import Standing
from harness.checker.statistics import Statistics
from harness.checker.verdict import Judgement, Verdict, check

__all__ = [
    "Anomaly",
    "Judgement",
    "Name",
    "Standing",
    "Statistics",
    "Table",
    "Verdict",
    "Witness",
    "check",
    "explain",
]

"""What a measurement is given and what it makes: a run of the code under test, and tables of figures.

A measurement is no test. It runs the student's (or the reference's) code on a cluster, counts and times, and says
what to see in the figures; nothing of it is computed from a formula.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from harness.cluster import Cluster
from harness.processes.session import Session
from harness.workspace import Workspace

Cell = str | int | float


@dataclass(frozen=True)
class Table:
    """Rows of figures under `columns`, units in the headings; `reading` says in a sentence or two what to see."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[Cell, ...]]
    reading: str


@dataclass(frozen=True)
class Run:
    """The code to measure. `quick`: small numbers, to see that everything works rather than to measure it."""

    workspace: Workspace
    seed: int
    quick: bool
    session: Session

    @contextmanager
    def make_cluster(self, **options: Any) -> Generator[Cluster]:
        """A Cluster of the code under measurement, closed at the end of the block."""
        with Cluster(self.workspace, options.pop("seed", self.seed), session=self.session, **options) as made:
            yield made


Tables = Callable[[Run], Iterator[Table]]

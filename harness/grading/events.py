"""What a worker tells the grader while it runs tests: plain values that travel through a pipe."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.grading.score import Attempt


@dataclass(frozen=True)
class Collected:
    """The items it found, in the order in which they are taken: pytest's id -> (key of the test, seed).

    All workers find the same.
    """

    items: dict[str, tuple[str, int]]


@dataclass(frozen=True)
class Unreadable:
    """A file of graded tests that cannot be loaded."""

    path: Path
    why: str


@dataclass(frozen=True)
class Started:
    """An item begins."""

    item: str


@dataclass(frozen=True)
class Attempted:
    """An item has ended."""

    item: str
    attempt: Attempt


@dataclass(frozen=True)
class Covered:
    """An item has injected so many "faults", or struck so many protocol "points"."""

    what: str
    number: int


@dataclass(frozen=True)
class Fault:
    """pytest or a plugin has failed."""

    what: str


@dataclass(frozen=True)
class Ended:
    """The worker is done; `interrupted` names the signal when it was told to stop."""

    interrupted: str | None


Event = Collected | Unreadable | Started | Attempted | Covered | Fault | Ended

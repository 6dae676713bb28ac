"""Where new replicas go (GFS §4.2).

Three wishes, in this order. Spread over racks, so that one switch does not take all replicas. Few recent
creations, because a chunk is created to be written: the emptiest server would otherwise draw all new traffic.
Least disk used, so that use evens out over time. What is left to choose is left to chance.
"""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import dataclass

MARGIN = (
    8  # chunks by which use must differ before a replica moves; two would do to never move one back and forth
)
BURST = 4  # recent creations that make no difference; every BURST more let others go first


@dataclass(frozen=True)
class Load:
    """A candidate: bytes used, and chunks recently created there."""

    name: str
    rack: str
    used: int
    recent: int


def choose(
    candidates: Collection[Load], count: int, rng: random.Random, racks: Collection[str] = ()
) -> list[str]:
    """Up to `count` different servers, best first. `racks` hold replicas of the chunk already.

    One after the other: from those in a rack with the fewest replicas so far the one with the lowest
    `recent // BURST`, then the lowest `used`, then the lowest `recent`; `rng` decides between equals.
    """
    raise NotImplementedError("lab 2 part B: sort keys are tuples; count the racks anew after each choice")


def least_needed(holders: Collection[Load]) -> str:
    """Which of the servers with a replica of a chunk should give it up (§4.3): one from the rack with most of them, of
    those the fullest."""
    raise NotImplementedError("lab 2 part E: a sort key that is a tuple, once more")

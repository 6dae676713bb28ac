"""How long to keep trying, and how long to rest in between.

A cluster heals: a master restarts, a lease runs out (60 s), a dead chunkserver is given up and another
takes over. So a client tries again for minutes. It rests between attempts, longer each time so that a
struggling cluster is left alone, and by random amounts so that clients that failed together do not come
back together.

Invariant: a task ends. Every pause that is not nothing lasts at least half the shortest one, only the
first few may be nothing, and after `seconds` there is no further one. The single exception is `LEAST`: the
clock may jump, and time that passed without an attempt has given nobody a chance.
"""

from __future__ import annotations

import random

SHORTEST = 0.5  # seconds before the second attempt; doubled from then on
LONGEST = 8.0
LEAST = 3  # attempts that are made however much time has passed
AT_ONCE = 3  # failures after which "try again at once" still means at once


class Patience:
    """The patience for one task, counted from `started`. Seconds of the client's clock."""

    def __init__(self, started: float, seconds: float, rng: random.Random) -> None:
        self._until = started + seconds
        self._rng = rng
        self._failures = 0

    def pause(self, now: float, at_once: bool = False) -> float | None:
        """An attempt has failed: how long to rest before the next one, or None if there should be none.

        None when the patience has run out, that is `seconds` have passed, and at least LEAST attempts have
        failed. `at_once` says that the failure told what to do better, so 0.0 among the first
        AT_ONCE failures. Otherwise the n-th failure gives SHORTEST * 2 ** (n - 1), at most LONGEST, times a
        random factor between 0.5 and 1 from the rng.
        """
        # lab 4 part A: count the failure first; each of the three sentences above is one statement
        self._failures += 1
        if now >= self._until and self._failures >= LEAST:
            return None
        if at_once and self._failures <= AT_ONCE:
            return 0.0
        doubled = SHORTEST * 2.0 ** min(self._failures - 1, 16)
        return min(LONGEST, doubled) * self._rng.uniform(0.5, 1.0)

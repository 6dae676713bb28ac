"""Attempts of equal length that vary a lot."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class RetryPolicy:
    first_timeout: float = 2.0
    factor: float = 1.0
    longest: float = 8.0
    attempts: int = 7
    jitter: float = 0.9

    def timeouts(self, rng: random.Random) -> Iterator[float]:
        for number in range(self.attempts):
            exact = min(self.first_timeout * self.factor**number, self.longest)
            yield exact * (1.0 - self.jitter + 2.0 * self.jitter * rng.random())

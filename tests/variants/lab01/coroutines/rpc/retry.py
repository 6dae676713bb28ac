"""Few attempts, each of them long."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class RetryPolicy:
    first_timeout: float = 3.0
    factor: float = 3.0
    longest: float = 20.0
    attempts: int = 3
    jitter: float = 0.1

    def timeouts(self, rng: random.Random) -> Iterator[float]:
        middle = self.first_timeout
        for _ in range(self.attempts):
            middle = min(middle, self.longest)
            yield middle + middle * self.jitter * rng.uniform(-1, 1)
            middle *= self.factor

"""Short attempts, and many of them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class RetryPolicy:
    first_timeout: float = 0.5
    factor: float = 1.5
    longest: float = 5.0
    attempts: int = 9
    jitter: float = 0.5

    def timeouts(self, rng: random.Random) -> Iterator[float]:
        for attempt in range(self.attempts):
            middle = min(self.longest, self.first_timeout * self.factor**attempt)
            yield rng.uniform(middle * (1 - self.jitter), middle * (1 + self.jitter))

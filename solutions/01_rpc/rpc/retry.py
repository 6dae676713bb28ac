"""How long to wait for an answer before asking again, and when to give up.

Exponential, so that a slow server is not drowned in repeats; bounded, so that a recovered one is found
soon; jittered, so that clients that failed together do not come back together (Saltzer and Kaashoek §7.5).
Pure: the times come from the policy and a random generator, nothing here waits.
"""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True)
class RetryPolicy:
    """At most `attempts` attempts; the first lasts `first_timeout` seconds, each later one `factor` times
    the one before, but none longer than `longest`; each of them varied by up to the fraction `jitter`."""

    first_timeout: float = 1.0
    factor: float = 2.0
    longest: float = 8.0
    attempts: int = 5
    jitter: float = 0.2

    def __post_init__(self) -> None:
        if self.attempts < 1 or self.first_timeout <= 0 or self.longest <= 0:
            raise ValueError("a retry policy needs an attempt, and timeouts above 0")
        if self.factor < 1 or not 0 <= self.jitter < 1:
            raise ValueError("a retry policy's factor is at least 1, its jitter from 0 to below 1")

    def timeout(self, attempt: int, rng: random.Random) -> float:
        """The seconds to wait for the answer to `attempt`, which counts from 0.

        Within `jitter` of min(longest, first_timeout * factor**attempt): a jitter of 0.2 means from 0.8 to
        1.2 times that, evenly spread, drawn from `rng`. However large `attempt` is.
        """
        # lab 1 part B: the bounded timeout, times a random factor around 1
        try:
            timeout = self.first_timeout * self.factor**attempt
        except OverflowError:
            timeout = self.longest
        if timeout > self.longest:
            timeout = self.longest
        return timeout * (1 + self.jitter * (2 * rng.random() - 1))

"""Rests that are drawn from a range that doubles."""

from __future__ import annotations

import random


class Patience:
    def __init__(self, started: float, seconds: float, rng: random.Random) -> None:
        self.end, self.rng, self.count = started + seconds, rng, 0

    def pause(self, now: float, at_once: bool = False) -> float | None:
        self.count += 1
        if self.count > 3 and now >= self.end:
            return None
        if at_once and self.count < 6:
            return 0.0
        return self.rng.uniform(0.5, min(15.0, 1.0 * 2**self.count))

"""Rests of about four seconds each, until the time is over."""

from __future__ import annotations

import random

REST = 4.0
AT_ONCE = 2
LEAST = 3


class Patience:
    def __init__(self, started: float, seconds: float, rng: random.Random) -> None:
        self._end = started + seconds
        self._rng = rng
        self._attempts = 0

    def pause(self, now: float, at_once: bool = False) -> float | None:
        self._attempts += 1
        if now >= self._end and self._attempts >= LEAST:
            return None
        if at_once and self._attempts <= AT_ONCE:
            return 0.0
        return REST * self._rng.uniform(0.7, 1.3)

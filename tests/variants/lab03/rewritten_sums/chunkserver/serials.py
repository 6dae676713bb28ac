"""Turns as a heap of those who wait, each with the time until which it does."""

from __future__ import annotations

import heapq
import math

from labkit.errors import OutOfOrder


class Turns:
    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._done = 0
        self._heap: list[tuple[int, float]] = []

    def arrive(self, serial: int, now: float) -> None:
        if serial <= self._done:
            raise OutOfOrder(f"{self._done} is done")
        if any(serial == waiting for waiting, _ in self._heap):
            raise OutOfOrder(f"{serial} is here twice")
        heapq.heappush(self._heap, (serial, now + self._patience))

    def delay(self, serial: int, now: float) -> float:
        lowest = self._heap[0][0]
        if serial == self._done + 1:
            return 0.0
        first_to_give_up = min(until for _, until in self._heap)
        if now < first_to_give_up:
            return first_to_give_up - now
        return 0.0 if serial == lowest else math.inf

    def done(self, serial: int) -> None:
        self._done = max(self._done, serial)
        self._heap = [(waiting, until) for waiting, until in self._heap if waiting != serial]
        heapq.heapify(self._heap)

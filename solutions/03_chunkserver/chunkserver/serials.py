"""The order of mutations at a secondary (GFS §3.1 steps 4 and 5).

The primary numbers the mutations of a lease 1, 2, 3, ... and a secondary applies them in this order,
whatever order they arrive in. A number that never comes (its primary or its message died) must not stop the
others for ever: after `patience` seconds of waiting the numbers missing in front are given up. They belong to
mutations that then fail as a whole, so if one comes after all it is refused: OutOfOrder.

Pure: the caller says what time it is, holds the chunk's lock, and does the waiting.
"""

from __future__ import annotations

import math

from labkit.errors import OutOfOrder


class Turns:
    """Whose turn it is among the mutations of one chunk at one version.

    The caller's contract, all under one lock: `arrive`; then `delay` again and again, waiting that long
    in between or until something was `done`; when it returns 0, apply the mutation and call `done`.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._next = 1
        # Serial number of each mutation that waits -> when its patience ends.
        self._waiting: dict[int, float] = {}

    def arrive(self, serial: int, now: float) -> None:
        """Queue up. OutOfOrder when this number's turn has passed, or it is waiting already."""
        # lab 3 part C: compare with `_next`; otherwise remember until when it is willing to wait.
        if serial < self._next or serial in self._waiting:
            raise OutOfOrder(f"mutation {serial} came before, or too late: the next one is {self._next}")
        self._waiting[serial] = now + self._patience

    def delay(self, serial: int, now: float) -> float:
        """Seconds until `serial`, which has arrived, may be applied if nothing happens meanwhile; 0 is now.

        Infinity when only another mutation's `done` can help. When any waiting mutation has lost its
        patience, it is the turn of the lowest one waiting.
        """
        # lab 3 part C: its turn if it is next, or the lowest waiting when the earliest deadline has passed.
        if serial == self._next:
            return 0.0
        left = min(self._waiting.values()) - now
        if left > 0:
            return left
        return 0.0 if serial == min(self._waiting) else math.inf

    def done(self, serial: int) -> None:
        """`serial` was applied or has failed; numbers up to it have had their turn."""
        # lab 3 part C: forget it, and go on behind it.
        self._waiting.pop(serial, None)
        self._next = max(self._next, serial + 1)

"""Lose a frame."""

from __future__ import annotations

from harness.network.faults.aim import Aim
from harness.network.faults.base import Fate, Fault
from harness.network.frame import Frame

LOST = Fate("dropped", after=())


class Drop(Fault):
    def __init__(self, aim: Aim) -> None:
        self.aim = aim

    def fate(self, frame: Frame) -> Fate | None:
        return LOST if self.aim.takes(frame) else None

"""Deliver a frame later; frames behind it on the same connection may overtake it."""

from __future__ import annotations

from harness.network.faults.aim import Aim
from harness.network.faults.base import Fate, Fault
from harness.network.frame import Frame


class Delay(Fault):
    def __init__(self, aim: Aim, seconds: float) -> None:
        """`seconds` are virtual."""
        self.aim = aim
        self.seconds = seconds

    def fate(self, frame: Frame) -> Fate | None:
        return Fate("delayed", after=(self.seconds,)) if self.aim.takes(frame) else None

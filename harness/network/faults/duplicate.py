"""Deliver a frame now and once more later."""

from __future__ import annotations

from harness.network.faults.aim import Aim
from harness.network.faults.base import Fate, Fault
from harness.network.frame import Frame


class Duplicate(Fault):
    def __init__(self, aim: Aim, later: float = 0.0) -> None:
        """`later`: virtual seconds until the second delivery."""
        self.aim = aim
        self.later = later

    def fate(self, frame: Frame) -> Fate | None:
        return Fate("duplicated", after=(0.0, self.later)) if self.aim.takes(frame) else None

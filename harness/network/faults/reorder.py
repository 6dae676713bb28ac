"""Swap a frame with the next one of the same direction between the same two nodes, on whatever connection."""

from __future__ import annotations

from harness.network.faults.aim import Aim
from harness.network.faults.base import Fate, Fault, Gate
from harness.network.frame import Frame


class Reorder(Fault):
    def __init__(self, aim: Aim) -> None:
        self.aim = aim
        self._waiting: dict[tuple[str, str, str], Gate] = {}

    def fate(self, frame: Frame) -> Fate | None:
        way = (frame.sender, frame.receiver, frame.kind)
        gate = self._waiting.pop(way, None)
        if gate is not None:
            return Fate("overtook another", then=gate.open)
        if not self.aim.takes(frame):
            return None
        gate = self._waiting[way] = Gate()
        return Fate("reordered", gate=gate)

"""Stop frames on the wire until a test lets them go, loses them, or does something evil in between."""

from __future__ import annotations

import threading

from harness.network.faults.aim import Aim
from harness.network.faults.base import Fate, Fault, Gate
from harness.network.frame import Frame


class Hold(Fault):
    """`frames` are those held so far; `first` is set when the first is."""

    def __init__(self, aim: Aim) -> None:
        self.aim = aim
        self.gate = Gate()
        self.frames: list[Frame] = []
        self.first = threading.Event()

    def fate(self, frame: Frame) -> Fate | None:
        if self.gate.opened or not self.aim.takes(frame):
            return None
        self.frames.append(frame)
        self.first.set()
        return Fate("held", gate=self.gate)

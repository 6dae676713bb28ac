"""Change nothing, but let a test wait until a frame has passed."""

from __future__ import annotations

import threading

from harness.network.faults.aim import Aim
from harness.network.faults.base import Fate, Fault
from harness.network.frame import Frame


class Watch(Fault):
    def __init__(self, aim: Aim) -> None:
        self.aim = aim
        self.seen = threading.Event()

    def fate(self, frame: Frame) -> Fate | None:
        if self.aim.takes(frame):
            self.seen.set()
        return None

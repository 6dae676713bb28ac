"""Let a fault decide about a share of the frames only, drawn from a seed."""

from __future__ import annotations

import random

from harness.network.faults.base import Fate, Fault
from harness.network.frame import Frame


class Sometimes(Fault):
    def __init__(self, rng: random.Random, probability: float, fault: Fault) -> None:
        self.rng = rng
        self.probability = probability
        self.fault = fault

    def fate(self, frame: Frame) -> Fate | None:
        return self.fault.fate(frame) if self.rng.random() < self.probability else None

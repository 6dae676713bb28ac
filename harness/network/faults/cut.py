"""Break the connection before, inside, or after a frame."""

from __future__ import annotations

from harness.network.faults.aim import Aim
from harness.network.faults.base import Fate, Fault
from harness.network.frame import Frame


class Cut(Fault):
    def __init__(self, aim: Aim, where: str = "before") -> None:
        if where not in ("before", "inside", "after"):
            raise ValueError(f"cut before, inside or after a frame, not {where!r}")
        self.aim = aim
        self.where = where

    def fate(self, frame: Frame) -> Fate | None:
        return Fate(f"cut {self.where}", cut=self.where) if self.aim.takes(frame) else None

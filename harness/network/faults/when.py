"""Do something to the cluster at the moment a frame is on the wire: kill its sender, cut a link."""

from __future__ import annotations

from collections.abc import Callable

from harness.network.faults.aim import Aim
from harness.network.faults.base import Fate, Fault
from harness.network.frame import Frame


class When(Fault):
    def __init__(self, aim: Aim, do: Callable[[], None], *, deliver: bool) -> None:
        """`do` runs while the frame is held; then it is delivered, or lost."""
        self.aim = aim
        self.do = do
        self.deliver = deliver

    def fate(self, frame: Frame) -> Fate | None:
        if not self.aim.takes(frame):
            return None
        self.do()
        return Fate("struck", after=(0.0,) if self.deliver else ())

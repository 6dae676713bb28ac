"""Give every node a slow line out: so many bytes a second, shared by all it sends, whomever to (GFS §3.2)."""

from __future__ import annotations

from harness.network.faults.aim import Aim
from harness.network.faults.base import Fate, Fault
from harness.network.frame import Frame


class Slow(Fault):
    """A frame has arrived when its last byte has, and waits for those its sender sent before it."""

    def __init__(self, bytes_per_second: float, latency: float = 0.0, aim: Aim | None = None) -> None:
        """`latency`: seconds on the way, for each frame. Seconds are virtual. `aim`: only these frames, if given."""
        self.bytes_per_second = bytes_per_second
        self.latency = latency
        self.aim = aim or Aim(times=None)
        self._free_at: dict[str, float] = {}  # sender -> when its line has sent all it was given

    def fate(self, frame: Frame) -> Fate | None:
        if not self.aim.takes(frame):
            return None
        begun = max(frame.time, self._free_at.get(frame.sender, 0.0))
        done = self._free_at[frame.sender] = begun + frame.size / self.bytes_per_second
        return Fate("slowed", after=(done - frame.time + self.latency,))

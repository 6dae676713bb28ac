"""Nothing passes between two groups of nodes: no frame, no connection attempt, no end of stream."""

from __future__ import annotations

from collections.abc import Iterable

from harness.network.faults.base import Fate, Fault
from harness.network.frame import Frame

SWALLOWED = Fate("partitioned", after=())


class Partition(Fault):
    def __init__(self, one: Iterable[str], other: Iterable[str], *, both_ways: bool = True) -> None:
        """Frames from `one` to `other` are lost; with `both_ways` the others too."""
        self.one = frozenset(one)
        self.other = frozenset(other)
        self.both_ways = both_ways

    def fate(self, frame: Frame) -> Fate | None:
        return SWALLOWED if self.blocks(frame.sender, frame.receiver) else None

    def blocks(self, sender: str, receiver: str) -> bool:
        return (sender in self.one and receiver in self.other) or (
            self.both_ways and sender in self.other and receiver in self.one
        )

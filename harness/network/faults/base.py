"""What a fault is: it looks at a frame and says its fate, or None when the frame is not its business.

The first fault that wants a frame decides. A fault runs in the proxy's thread, one frame at a time, so it needs no
lock of its own; it must not block, except for killing a node, which has to happen before the next frame moves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.network.frame import Frame


class Gate:
    """Holds frames back until it is opened, which delivers them, or `discard()`ed, which loses them."""

    def __init__(self) -> None:
        self.opened = False
        self._deliver: list[Callable[[], None]] = []

    def keep(self, deliver: Callable[[], None]) -> None:
        """Called by the proxy in its thread."""
        if self.opened:
            deliver()
        else:
            self._deliver.append(deliver)

    def open(self) -> None:
        """Must run in the proxy's thread (see Proxy.run_soon)."""
        self.opened = True
        waiting, self._deliver = self._deliver, []
        for deliver in waiting:
            deliver()

    def discard(self) -> None:
        self._deliver.clear()


@dataclass(frozen=True)
class Fate:
    """What becomes of a frame.

    `after`: one delivery per entry, that many virtual seconds from now; none means the frame is lost.
    `gate`: deliver when it opens instead. `cut`: break the connection "before", "inside" or "after" the frame.
    `then`: called when the frame has been delivered. `name` goes into the journal.
    """

    name: str
    after: tuple[float, ...] = (0.0,)
    gate: Gate | None = None
    cut: str = ""
    then: Callable[[], None] | None = None


PASS = Fate("passed")


class Fault:
    """Base of all faults; this one does nothing."""

    def fate(self, frame: Frame) -> Fate | None:
        return None

    def blocks(self, sender: str, receiver: str) -> bool:
        """Whether nothing at all passes this way: no connection attempt, no end of stream."""
        return False

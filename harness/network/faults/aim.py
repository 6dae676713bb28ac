"""Which frames a fault is for: by method, direction, sender, receiver, and count."""

from __future__ import annotations

from collections.abc import Callable

from harness.network.frame import Frame


class Aim:
    """Matches frames of a method, kind ("request" or "reply"), sender and receiver; None matches all.

    Counting starts at 1 with the first frame that fits: `skip=1` lets that one pass, `times=2` takes the next two
    and then no more (None: for ever). `only` is a further condition on the frame.
    """

    def __init__(
        self,
        method: str | None = None,
        kind: str | None = None,
        *,
        sender: str | None = None,
        receiver: str | None = None,
        skip: int = 0,
        times: int | None = 1,
        only: Callable[[Frame], bool] | None = None,
    ) -> None:
        self.method = method
        self.kind = kind
        self.sender = sender
        self.receiver = receiver
        self.hits = 0
        self._skip = skip
        self._times = times
        self._only = only

    def takes(self, frame: Frame) -> bool:
        """Whether this frame is one of those aimed at; counts it if so."""
        if (
            (self.method is not None and frame.method != self.method)
            or (self.kind is not None and frame.kind != self.kind)
            or (self.sender is not None and frame.sender != self.sender)
            or (self.receiver is not None and frame.receiver != self.receiver)
            or not self._fits(frame)
        ):
            return False
        if self._skip > 0:
            self._skip -= 1
            return False
        if self._times is not None and self.hits >= self._times:
            return False
        self.hits += 1
        return True

    def _fits(self, frame: Frame) -> bool:
        if self._only is None:
            return True
        try:
            return self._only(frame)
        except Exception:  # it asks for something that this header, which student code wrote, has not
            return False

    def __str__(self) -> str:
        what = " ".join(part for part in (self.method, self.kind) if part) or "every frame"
        way = "".join(
            f" {word} {name}" for word, name in (("from", self.sender), ("to", self.receiver)) if name
        )
        return what + way

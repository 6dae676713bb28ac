"""Connections to one server: each carries one call at a time and waits here between calls.

One call per connection needs no thread that reads replies for others, and a slow call holds up nobody. The
price is a connection for every call in flight at once. Invariant: a connection in the pool has nothing
under way in either direction, or it is found out when it is borrowed.
"""

from __future__ import annotations

import threading

from labkit import Context
from rpc.stream import FrameStream

MAX_IDLE = 8


class ConnectionPool:
    """Thread-safe. A borrowed stream belongs to its borrower until `give_back` or `discard`."""

    def __init__(self, context: Context, server: str) -> None:
        self._context = context
        self._server = server
        self._lock = threading.Lock()
        self._closing = threading.Condition(self._lock)
        self._closed = False
        self._open: set[FrameStream] = set()  # all of them, idle or borrowed
        self._idle: list[FrameStream] = []  # append and pop are one step each: they need no lock

    def borrow(self, deadline: float) -> FrameStream:
        """An idle connection, the last one used first, else a new one, made before `deadline`.

        An idle connection that has something to read is closed instead: the server ended it, or an answer
        came that nobody waits for. OSError or LookupError when no connection can be made; ConnectionError
        after `close`.
        """
        raise NotImplementedError(
            "lab 1 part B: take from the idle ones while there are any; connect without holding the lock"
        )

    def give_back(self, stream: FrameStream) -> None:
        """The call is answered and nothing else is under way: keep the connection for the next call."""
        raise NotImplementedError("lab 1 part B: at most MAX_IDLE of them, and none once the pool is closed")

    def discard(self, stream: FrameStream) -> None:
        """The connection broke, or may still bring something: close it."""
        raise NotImplementedError("lab 1 part B: forget it, then close it")

    def pause(self, until: float) -> bool:
        """Wait between two attempts until the clock shows `until`; False, at once, when the pool is closed."""
        raise NotImplementedError(
            "lab 1 part B: wait on the clock with a condition that close notifies, rather than sleep"
        )

    def close(self) -> None:
        """Close what is idle, break what is borrowed (its borrower closes it), and lend no more."""
        raise NotImplementedError("lab 1 part D: abort, not close, what another thread is using")

"""Time as a node sees it. Everything that waits, waits here.

A node must not use `time.sleep`, `time.monotonic` or socket timeouts for protocol time: under the harness
the clock runs faster than real time, jumps (a lease of 60 s passes at once) and may be skewed against other
nodes. Every wait below ends at its deadline on *this* clock, jumps included. `now()` never goes backwards
and its zero means nothing, so times of two nodes cannot be compared; durations can.
"""

from __future__ import annotations

import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import Protocol

Receive = Callable[[memoryview, float | None], int | None]


class Clock(Protocol):
    def now(self) -> float:
        """Seconds since some unknown moment."""
        ...

    def sleep(self, seconds: float) -> None:
        """Return after `seconds` of this clock."""
        ...

    def wait(self, condition: threading.Condition, timeout: float | None) -> bool:
        """Like `condition.wait`, whose lock the caller holds, on this clock.

        False when the timeout has passed; True otherwise, which like any wake-up may be spurious: look at
        what you wait for again.
        """
        ...

    def wait_for(
        self, condition: threading.Condition, predicate: Callable[[], bool], timeout: float | None
    ) -> bool:
        """Wait until `predicate()` holds or the timeout has passed; the predicate's last value."""
        ...

    def wait_readable(self, sock: socket.socket, timeout: float | None) -> bool:
        """True once `sock` has bytes, an end of stream or an error to read; False after the timeout."""
        ...

    def receiver(self, sock: socket.socket) -> Receive:
        """How one thread at a time receives from the blocking socket `sock`.

        `receive(room, timeout)` is `sock.recv_into(room)`, but None when nothing has come before the timeout.
        """
        ...


LONGEST = 1e6  # seconds that the system's calls can wait, and more; who waits longer waits for ever
GLANCE = 0.05  # seconds that a receive waits in one system call; most answers come sooner


class SystemClock:
    """The machine's monotonic clock. Waits of more than `LONGEST` have no end."""

    now = staticmethod(time.monotonic)

    def sleep(self, seconds: float) -> None:
        time.sleep(min(max(0.0, seconds), LONGEST))

    def wait(self, condition: threading.Condition, timeout: float | None) -> bool:
        return condition.wait(None if timeout is None or timeout > LONGEST else max(0.0, timeout))

    def wait_for(
        self, condition: threading.Condition, predicate: Callable[[], bool], timeout: float | None
    ) -> bool:
        return condition.wait_for(predicate, None if timeout is None or timeout > LONGEST else timeout)

    def wait_readable(self, sock: socket.socket, timeout: float | None) -> bool:
        poller = select.poll()
        poller.register(sock, select.POLLIN)
        if timeout is None or timeout > LONGEST:
            return bool(poller.poll())
        return bool(poller.poll(timeout * 1000 if timeout > 0 else 0))  # rounded up

    def receiver(self, sock: socket.socket) -> Receive:
        recv_into = sock.recv_into
        glances = False  # from the first timeout on: one that never waits on the clock needs no end

        def receive(room: memoryview, timeout: float | None) -> int | None:
            nonlocal glances
            if not glances:
                if timeout is None:
                    return recv_into(room)
                sock.setsockopt(
                    socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, int(GLANCE * 1e6))
                )
                glances = True
            if timeout is None or timeout > GLANCE:
                try:
                    return recv_into(room)
                except BlockingIOError:  # the glance is over: wait for the rest of the time, then receive
                    timeout = None if timeout is None else timeout - GLANCE
            return recv_into(room) if self.wait_readable(sock, timeout) else None

        return receive

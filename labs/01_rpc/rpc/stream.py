"""Frames over a connected socket: the only module that sends and receives.

Three ways a connection can end must not be confused: between two frames (the other side is done), inside
one (MalformedFrame: what came is worthless), with an error (OSError). A deadline that passes is none of
them: the frame that was on its way stays in the assembler and the next `receive` goes on with it.

One thread at a time may send and one receive; `abort` may be called by any.
"""

from __future__ import annotations

import contextlib
import select
import socket
from collections.abc import Callable, Sequence
from typing import Any

from labkit.clock import Clock
from rpc.wire import Buffer, Frame, FrameAssembler, parse_header

# Real milliseconds between two looks at the clock while a send is stuck: a clock can wait for bytes to
# read, but not for room to write.
SEND_GLANCE = 20


_DONTWAIT = int(socket.MSG_DONTWAIT)  # of itself it is an enum, converted at every call


class DeadlinePassed(TimeoutError):
    """The node's clock passed the deadline. Not the system's own TimeoutError, which breaks a connection."""


class FrameStream:
    """A connected blocking socket that speaks frames. Deadlines are times of `clock`; None waits forever.

    `parse` makes of a received header what `receive` gives out, as `FrameAssembler` says.
    """

    def __init__(
        self, sock: socket.socket, clock: Clock, parse: Callable[[Buffer], Any] = parse_header
    ) -> None:
        self._sock = sock
        self._clock = clock
        self._receive = clock.receiver(sock)
        self._frames = FrameAssembler(parse)
        self._peek = select.poll()
        self._peek.register(sock, select.POLLIN)

    def send(self, frame: Sequence[Buffer], deadline: float | None = None) -> None:
        """Send all of `frame`, which `wire.encode` made, without joining its buffers.

        Returns when the system has taken every byte. After OSError or DeadlinePassed it has not, so the
        other side cannot ever have the whole frame; the stream is out of step then: abort it.
        """
        raise NotImplementedError(
            "lab 1 part A: sendmsg may take only some of the bytes; a reader that sleeps must not block "
            "us past the deadline"
        )

    def receive(self, deadline: float | None = None) -> Frame | None:
        """The next frame; None when the other side closed the stream between two frames.

        MalformedFrame for a stream that ends inside a frame or holds what is none; DeadlinePassed when no
        whole frame came in time (call again to go on waiting); OSError when the connection broke.
        """
        raise NotImplementedError(
            "lab 1 part A: ask the assembler for a frame, receive into its room, tell it, repeat"
        )

    def silent(self) -> bool:
        """True when nothing can be read now, not even the end of the stream: fit to be used again."""
        raise NotImplementedError(
            "lab 1 part B: poll without waiting; bytes of an unfinished frame count as noise too"
        )

    def abort(self) -> None:
        """Break the connection, from any thread; whoever waits in `send` or `receive` finds out at once.

        Does not give up the descriptor: another thread may be about to use its number. `close` does.
        """
        # The system says so when the other side broke it first; that is what we wanted.
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Break the connection and free it. For the one thread that uses the stream."""
        self.abort()
        self._sock.close()

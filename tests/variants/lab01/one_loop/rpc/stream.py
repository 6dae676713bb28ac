"""Frames over a blocking socket."""

from __future__ import annotations

import contextlib
import select
import socket
from collections.abc import Sequence

from rpc.wire import Buffer, Frame, FrameAssembler

from labkit.clock import Clock
from labkit.errors import MalformedFrame


class DeadlinePassed(Exception):
    """On the node's clock."""


class FrameStream:
    def __init__(self, sock: socket.socket, clock: Clock) -> None:
        self._sock = sock
        self._clock = clock
        self._assembler = FrameAssembler()

    def send(self, frame: Sequence[Buffer], deadline: float | None = None) -> None:
        for buffer in frame:
            rest = memoryview(buffer)
            while rest:
                try:
                    rest = rest[self._sock.send(rest, socket.MSG_DONTWAIT) :]
                except BlockingIOError:
                    select.select([], [self._sock.fileno()], [], 0.03)
                    if deadline is not None and self._clock.now() >= deadline:
                        raise DeadlinePassed from None

    def receive(self, deadline: float | None = None) -> Frame | None:
        while True:
            frame = self._assembler.take()
            if frame is not None:
                return frame
            if deadline is not None and not self._clock.wait_readable(
                self._sock, max(0.0, deadline - self._clock.now())
            ):
                raise DeadlinePassed
            count = self._sock.recv_into(self._assembler.room())
            if not count:
                if self._assembler.between_frames():
                    return None
                raise MalformedFrame("cut off inside a frame")
            self._assembler.filled(count)

    def abort(self) -> None:
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.abort()
        self._sock.close()

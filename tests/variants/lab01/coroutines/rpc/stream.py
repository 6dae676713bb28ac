"""Frames over a blocking socket."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Sequence
from select import POLLOUT, poll

from rpc.wire import Buffer, Frame, FrameAssembler

from labkit.clock import Clock
from labkit.errors import MalformedFrame


class DeadlinePassed(Exception):
    """On the node's clock."""


class FrameStream:
    def __init__(self, sock: socket.socket, clock: Clock) -> None:
        self._sock, self._clock, self._frames = sock, clock, FrameAssembler()

    def send(self, frame: Sequence[Buffer], deadline: float | None = None) -> None:
        data = memoryview(b"".join(frame))
        writable = poll()
        writable.register(self._sock, POLLOUT)
        while data:
            with contextlib.suppress(BlockingIOError):
                data = data[self._sock.send(data, socket.MSG_DONTWAIT) :]
                continue
            writable.poll(10)
            if deadline is not None and self._clock.now() >= deadline:
                raise DeadlinePassed("they do not listen")

    def receive(self, deadline: float | None = None) -> Frame | None:
        frame = self._frames.take()
        while frame is None:
            timeout = None if deadline is None else deadline - self._clock.now()
            if not self._clock.wait_readable(self._sock, timeout):
                raise DeadlinePassed("they do not answer")
            room = self._frames.room()
            count = self._sock.recv_into(room)
            if count == 0 and self._frames.between_frames():
                return None
            if count == 0:
                raise MalformedFrame("half a frame")
            self._frames.filled(count)
            # Lengths and header may be done, and the rest of the frame empty.
            frame = self._frames.take()
        return frame

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()

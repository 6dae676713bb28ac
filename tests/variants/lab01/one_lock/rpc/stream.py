"""Frames over a blocking socket."""

from __future__ import annotations

import contextlib
import select
import socket
from collections.abc import Sequence

from labkit.clock import Clock
from labkit.errors import MalformedFrame
from rpc.wire import Buffer, Frame, FrameAssembler


class DeadlinePassed(Exception):
    """On the node's clock."""


class FrameStream:
    def __init__(self, sock: socket.socket, clock: Clock) -> None:
        self.sock = sock
        self.clock = clock
        self.frames = FrameAssembler()

    def send(self, frame: Sequence[Buffer], deadline: float | None = None) -> None:
        for buffer in map(memoryview, frame):
            done = 0
            while done < len(buffer):
                _, ready, _ = select.select((), (self.sock,), (), 0.02)
                if ready:
                    with contextlib.suppress(BlockingIOError):
                        done += self.sock.send(buffer[done:], socket.MSG_DONTWAIT)
                elif deadline is not None and self.clock.now() >= deadline:
                    raise DeadlinePassed

    def receive(self, deadline: float | None = None) -> Frame | None:
        while (frame := self.frames.take()) is None:
            if deadline is not None and not self.clock.wait_readable(self.sock, deadline - self.clock.now()):
                raise DeadlinePassed
            got = self.sock.recv_into(self.frames.room())
            if not got:
                if not self.frames.between_frames():
                    raise MalformedFrame("torn")
                return None
            self.frames.filled(got)
        return frame

    def shut(self) -> None:
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.shut()
        self.sock.close()

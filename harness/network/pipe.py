"""One direction of a connection: finds the frames in it and does with each what the faults say.

Frames without a fault are passed on as they arrive, never collected, so a big payload costs no memory and a lie about
its length costs nothing. Only a frame that a fault wants is collected whole. All of it runs in the proxy's thread.
"""

from __future__ import annotations

import contextlib
import socket
from collections import deque
from typing import TYPE_CHECKING

from harness.network.faults.base import PASS, Fate
from harness.network.frame import GLIMPSE, PREFIX, REQUEST, Frame, decode_header, plausible

if TYPE_CHECKING:
    from harness.network.connection import Connection

_REMEMBERED = 4096  # requests whose method a reply can be given without looking into the journal
_ENDLESS = 1 << 62


class Pipe:
    """One direction of a connection: finds the frames in it and does with each what the faults say."""

    def __init__(
        self,
        connection: Connection,
        kind: str,
        sender: str,
        receiver: str,
        source: socket.socket,
        sink: socket.socket,
    ) -> None:
        self.connection = connection
        self.kind = kind
        self.sender = sender
        self.receiver = receiver
        self.source = source
        self.sink = sink
        self.out: deque[memoryview] = deque()
        self.ended = False  # the source has no more
        self.finished = False  # and the sink knows
        self._proxy = connection.proxy
        self._head = bytearray()  # a prefix or header that came in pieces
        self._passing = 0  # bytes of the current frame still to pass on
        self._skipping = 0  # and to lose
        self._frame: tuple[Frame, Fate, bytearray, int] | None = (
            None  # one being collected, and its whole size
        )
        self._due: list[memoryview] = []  # whole frames whose time came while another was passing

    # ---- reading

    def read_event(self, events: int) -> None:
        if self.ended:
            self.connection.close()
        else:
            self.read()

    def drain(self) -> None:
        """The source is gone: read what it has left, and the end, as far as the sink takes it."""
        while self.connection.open and not self.ended and not self.out and self.read():
            pass

    def read(self) -> bool:
        """Whether there was something to read, if only the end."""
        buffer = self._proxy.buffer
        try:
            count = self.source.recv_into(buffer)
        except BlockingIOError:
            return False
        except OSError:
            count = 0
        if count:
            if not (self._pass_whole(buffer, count)):
                self._take(buffer[:count])
        elif self.connection.open:
            self.ended = True
            self.finish()
            self.connection.interest(self.source)
        return True

    def _pass_whole(self, buffer: memoryview, count: int) -> bool:
        """The usual case made cheap: exactly one whole frame has come and no fault is waiting for any."""
        proxy = self._proxy
        if (
            proxy.faults
            or count <= PREFIX.size
            or self._passing
            or self._skipping
            or self._head
            or self._frame
        ):
            return False
        header_size, payload_size = PREFIX.unpack_from(buffer)
        if PREFIX.size + header_size + payload_size != count or not header_size:
            return False
        seen = bytes(buffer[PREFIX.size : min(PREFIX.size + header_size + GLIMPSE, count)])
        proxy.journal.append((proxy.time.now(), self, seen, header_size, count))
        self._write(buffer[:count])
        return True

    def _take(self, data: memoryview) -> None:
        while data and self.connection.open:
            if self._passing:
                count = min(self._passing, len(data))
                self._passing -= count
                self._write(data[:count])
                if not self._passing and self._due:
                    due, self._due = self._due, []
                    for whole in due:
                        self._write(whole)
            elif self._skipping:
                count = min(self._skipping, len(data))
                self._skipping -= count
            elif self._frame is not None:
                count = self._collect(data)
            else:
                count = self._begin(data)
            data = data[count:]

    def _begin(self, data: memoryview) -> int:
        """The start of a frame: read its header, ask for its fate; how many bytes of `data` were used up."""
        if self._head:
            self._head += data
            joined, whole = memoryview(bytes(self._head)), len(self._head) - len(data)
        else:
            joined, whole = data, 0
        if len(joined) < PREFIX.size:
            return self._keep_head(data, whole)
        header_size, payload_size = PREFIX.unpack_from(joined)
        start = PREFIX.size + header_size
        if not plausible(header_size, payload_size):
            self._head.clear()
            self._passing = _ENDLESS  # not frames: pass it all on as it is
            if whole:
                self._write(joined[:whole])
            return 0
        if len(joined) < start:
            return self._keep_head(data, whole)
        self._head.clear()
        size = start + payload_size
        frame = self._identify(bytes(joined[PREFIX.size : min(start + GLIMPSE, size)]), header_size, size)
        fate = PASS
        for fault in self._proxy.faults:
            wanted = fault.fate(frame)
            if wanted is not None:
                fate = wanted
                frame.fate = fate.name
                break
        if not self.connection.open:
            return len(data)
        if fate is PASS:
            self._passing = size
        elif not fate.after and fate.gate is None and not fate.cut:
            self._skipping = size
            if fate.then is not None:
                fate.then()
        else:
            self._frame = (frame, fate, bytearray(), size)
        if whole:
            self._take(joined)  # it came in pieces: start over with the joined bytes
            return len(data)
        return 0

    def _keep_head(self, data: memoryview, whole: int) -> int:
        if not whole:
            self._head += data
        return len(data)

    def _identify(self, seen: bytes, header_size: int, size: int) -> Frame:
        frame = self.frame(self._proxy.time.now(), seen, header_size, size)
        self._proxy.journal.append(frame)
        key = (frame.connection, frame.xid)
        methods = self._proxy.methods
        if frame.kind == REQUEST:
            methods[key] = frame.method
            if len(methods) > _REMEMBERED:
                del methods[next(iter(methods))]
        else:
            frame.method = methods.get(key) or self._proxy.method_of(key)
        return frame

    def frame(self, now: float, seen: bytes, header_size: int, size: int) -> Frame:
        """Of `size` bytes in all; `seen` are its header and the glimpse of its payload."""
        header, glimpse = decode_header(seen[:header_size]), seen[header_size:]
        return Frame(
            self.kind, self.sender, self.receiver, header, size, self.connection.number, now, glimpse
        )

    def _collect(self, data: memoryview) -> int:
        assert self._frame is not None
        frame, fate, collected, size = self._frame
        count = min(size - len(collected), len(data))
        collected += data[:count]
        if len(collected) == size:
            self._frame = None
            self._enact(frame, fate, memoryview(bytes(collected)))
        return count

    # ---- writing

    def _enact(self, frame: Frame, fate: Fate, data: memoryview) -> None:
        if fate.cut:
            part = {"before": 0, "inside": max(1, len(data) // 2), "after": len(data)}[fate.cut]
            if part:
                self._write(data[:part])
            self.connection.close()
        elif fate.gate is not None:
            fate.gate.keep(lambda: self._deliver(data))
        else:
            for seconds in fate.after:
                if seconds > 0:
                    self._proxy.later(seconds, lambda: self._deliver(data))
                else:
                    self._deliver(data)
        if fate.then is not None:
            fate.then()

    def _deliver(self, whole: memoryview) -> None:
        """Write a whole frame, but never into the middle of another."""
        if self._passing:
            self._due.append(whole)
        else:
            self._write(whole)

    def _write(self, data: memoryview) -> None:
        if not self.connection.open or self.finished:
            return
        if self.out:
            self.out.append(memoryview(bytes(data)))
            return
        try:
            sent = self.sink.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.connection.close()
            return
        if sent < len(data):
            self.out.append(memoryview(bytes(data[sent:])))
            self.connection.interest(self.sink)
            self.connection.interest(self.source)

    def flush(self) -> None:
        while self.out and self.connection.open:
            try:
                sent = self.sink.send(self.out[0])
            except BlockingIOError:
                return
            except OSError:
                self.connection.close()
                return
            if sent < len(self.out[0]):
                self.out[0] = self.out[0][sent:]
            else:
                self.out.popleft()
        if self.connection.open:
            self.connection.interest(self.sink)
            self.connection.interest(self.source)
            self.finish()

    def finish(self) -> None:
        """Tell the sink that the source has ended, once everything is written and nothing blocks the way."""
        if not self.ended or self.finished or self.out or not self.connection.open:
            return
        if self._proxy.blocked(self.sender, self.receiver):
            return
        self.finished = True
        with contextlib.suppress(OSError):
            self.sink.shutdown(socket.SHUT_WR)
        self.connection.ended()

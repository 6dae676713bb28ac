"""One virtual time for a whole cluster, in a page of memory that every node maps.

virtual = anchor + (monotonic - anchor_real) * rate. A jump or a change of rate is one write to the page, so all
nodes see it at the same instant: were it told to them one by one, a test could see a lease end at the master before
it ends at the primary, which no real clock of bounded drift would show. Each node may also be skewed: its slot
holds an offset and a factor of drift. A sequence number, odd while a write is going on, keeps readers consistent.

Whoever waits must look again after a jump: the harness sends a wake-up over the control channel.
"""

from __future__ import annotations

import math
import mmap
import os
import select
import socket
import struct
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path

from labkit.clock import Receive

SLOTS = 64

_HEAD = struct.Struct("<Qddd")  # sequence, anchor, anchor_real, rate
_SLOT = struct.Struct("<ddd")  # offset, anchor, factor
_SIZE = _HEAD.size + SLOTS * _SLOT.size

GLOBAL = -1  # the slot number of somebody whose clock is never skewed

_FOREVER = 3600.0


class TimePage:
    """The mapped page. The harness writes; nodes only read."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        flags = os.O_RDWR | (os.O_CREAT if create else 0)
        fd = os.open(path, flags, 0o600)
        try:
            if create:
                os.ftruncate(fd, _SIZE)
            self._map: mmap.mmap | bytearray = mmap.mmap(fd, _SIZE)
        finally:
            os.close(fd)
        self._write_lock = threading.Lock()
        if create:
            for slot in range(SLOTS):
                _SLOT.pack_into(self._map, _HEAD.size + slot * _SLOT.size, 0.0, 0.0, 1.0)
            _HEAD.pack_into(self._map, 0, 0, 0.0, time.monotonic(), 1.0)

    def now(self, slot: int = GLOBAL) -> float:
        return self._read(slot)[1]

    def pace(self, slot: int = GLOBAL) -> float:
        """Virtual seconds per real second."""
        return self._read(slot)[2]

    def set_rate(self, rate: float) -> None:
        self._write(0.0, rate)

    def advance(self, seconds: float) -> None:
        self._write(seconds, None)

    def skew(self, slot: int, offset: float | None, factor: float) -> None:
        """From now on slot's clock runs `factor` times as fast, after a step of `offset` (forwards or back)."""
        with self._write_lock:
            now, mine, _ = self._read(slot)
            at = _HEAD.size + slot * _SLOT.size
            self._bump()
            _SLOT.pack_into(self._map, at, mine - now + (offset or 0.0), now, factor)
            self._bump()

    def close(self) -> None:
        """Let go of the page, once nobody reads it at this moment. Time goes on for threads that ask later."""
        self._map = bytearray(self._map)

    def _write(self, jump: float, rate: float | None) -> None:
        with self._write_lock:
            sequence, anchor, anchor_real, old_rate = _HEAD.unpack_from(self._map, 0)
            real = time.monotonic()
            now = anchor + (real - anchor_real) * old_rate
            self._bump()
            _HEAD.pack_into(self._map, 0, sequence + 1, now + jump, real, old_rate if rate is None else rate)
            self._bump()

    def _bump(self) -> None:
        (sequence,) = struct.unpack_from("<Q", self._map, 0)
        struct.pack_into("<Q", self._map, 0, sequence + 1)

    def _read(self, slot: int) -> tuple[float, float, float]:
        """Of one moment: the time, what slot's clock shows, and how fast that runs."""
        while True:
            sequence, anchor, anchor_real, rate = _HEAD.unpack_from(self._map, 0)
            offset, slot_anchor, factor = (
                (0.0, 0.0, 1.0) if slot < 0 else _SLOT.unpack_from(self._map, _HEAD.size + slot * _SLOT.size)
            )
            real = time.monotonic()  # while the page says so: a process may be stopped anywhere here
            again = _HEAD.unpack_from(self._map, 0)
            if sequence % 2 == 0 and again == (sequence, anchor, anchor_real, rate):
                now = anchor + (real - anchor_real) * rate
                mine = now
                if factor != 1.0 or offset != 0.0:
                    mine = slot_anchor + (now - slot_anchor) * factor + offset
                return now, mine, rate * factor


class _Alarm:
    """A pipe whose read end becomes readable, for every poller at once, when the alarm rings."""

    def __init__(self) -> None:
        self.reader, self._writer = os.pipe()
        self._lock = threading.Lock()

    def ring(self) -> None:
        with self._lock:
            if self._writer >= 0:
                os.close(self._writer)
                self._writer = -1

    def __del__(self) -> None:
        self.ring()
        os.close(self.reader)


class VirtualClock:
    """A node's labkit.clock.Clock over the page."""

    def __init__(self, page: TimePage, slot: int = GLOBAL) -> None:
        self._page = page
        self._slot = slot
        self._alarm = _Alarm()
        self._lock = threading.Lock()
        self._waiting: weakref.WeakKeyDictionary[threading.Condition, int] = weakref.WeakKeyDictionary()

    def now(self) -> float:
        return self._page.now(self._slot)

    def wake(self) -> None:
        """The page has changed: everybody who waits looks at the clock again."""
        with self._lock:
            rung, self._alarm = self._alarm, _Alarm()
            waiting = list(self._waiting)
        rung.ring()
        for condition in waiting:
            if condition.acquire(blocking=False):
                condition.notify_all()
                condition.release()
            else:
                # In a thread of its own: the owner may hold this lock for as long as it likes.
                threading.Thread(target=_notify, args=(condition,), name="clock wake-up", daemon=True).start()

    def sleep(self, seconds: float) -> None:
        deadline = self.now() + seconds
        while True:
            alarm = self._alarm
            left = deadline - self.now()
            if left <= 0:
                return
            _poll([alarm.reader], self._real(left))

    def wait(self, condition: threading.Condition, timeout: float | None) -> bool:
        if timeout is None:
            condition.wait()
            return True
        deadline = self.now() + timeout
        with self._lock:
            self._waiting[condition] = self._waiting.get(condition, 0) + 1
        try:
            condition.wait(self._real(deadline - self.now()))
        finally:
            with self._lock:
                left = self._waiting.get(condition, 1) - 1
                if left:
                    self._waiting[condition] = left
                else:
                    self._waiting.pop(condition, None)
        return self.now() < deadline

    def wait_for(
        self, condition: threading.Condition, predicate: Callable[[], bool], timeout: float | None
    ) -> bool:
        deadline = None if timeout is None else self.now() + timeout
        while not predicate():
            left = None if deadline is None else deadline - self.now()
            if left is not None and left <= 0:
                return False
            self.wait(condition, left)
        return True

    def wait_readable(self, sock: socket.socket, timeout: float | None) -> bool:
        deadline = math.inf if timeout is None else self.now() + timeout
        while True:
            alarm = self._alarm
            left = deadline - self.now()
            ready = _poll([sock.fileno(), alarm.reader], self._real(max(0.0, left)))
            if sock.fileno() in ready:
                return True
            if left <= 0:
                return False

    def receiver(self, sock: socket.socket) -> Receive:
        def receive(room: memoryview, timeout: float | None) -> int | None:
            if timeout is not None and not self.wait_readable(sock, timeout):
                return None
            return sock.recv_into(room)

        return receive

    def _real(self, seconds: float) -> float:
        """How long to wait in real seconds for `seconds` of this clock to pass."""
        if seconds <= 0:
            return 0.0  # even while time stands still
        pace = self._page.pace(self._slot)
        return min(_FOREVER, seconds / pace) if pace > 0 else _FOREVER


def _notify(condition: threading.Condition) -> None:
    with condition:
        condition.notify_all()


def _poll(fds: list[int], seconds: float) -> set[int]:
    poller = select.poll()
    for fd in fds:
        poller.register(fd, select.POLLIN)
    return {fd for fd, _ in poller.poll(math.ceil(seconds * 1000))}

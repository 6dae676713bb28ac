"""How long to wait: real seconds, counted only as far as this machine let the programs under test run.

A deadline in plain real time turns a slow or busy machine into a wrong solution. So all real-time patience of the
harness is measured on a clock of its own, which passes slower than real time when

    the processors are slow            a fixed piece of work takes longer than on the machine of our figures
    others want them                   /proc/loadavg counts more threads that can run than we have started ourselves
    nothing runs for a while           a thread that wants to wake up ten times a second wakes up late

but never slower than 1 / `MOST`, so that every wait ends. When it ends in vain and most of it was passed without the
processor, nobody can say whose fault that is: `TooBusy`, an error of the run and no failure of the code under test.

    deadline = Deadline(20.0)
    while not happened():
        if deadline.passed():            # raises TooBusy when the machine is to blame
            raise LabFailure(…)
"""

from __future__ import annotations

import os
import socket
import threading
import time
from pathlib import Path

from harness.failures import TooBusy
from harness.processes.linux import running_below

MOST = 6.0  # real seconds that one second of patience may take
STARVED = 3.0  # from so many on, a wait in vain proves nothing
ORDINARY = 20.0  # what anything may take; wrong code that hangs costs this much
LONG_WAIT = 1.0  # shorter waits give something a chance to happen, and are not told from it: never TooBusy

_TICK = 0.1  # real seconds
_DEAR = 50.0  # to count our own threads may take a fiftieth of the time: hundreds of files of the kernel's are read
_LOOK_AGAIN = 1.0
_WORK = 3000  # numbers to add up; this takes half as long where the kit's patience was chosen
_WORK_SECONDS = 60e-6


class Deadline:
    """The end of some seconds of patience from now on."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._real = time.monotonic()
        self._end = now() + seconds

    @property
    def left(self) -> float:
        """Seconds of patience; at most as many real seconds as will pass until the end."""
        return self._end - now()

    @property
    def starved(self) -> bool:
        """Whether the processor was withheld for most of the time so far; never said of short waits."""
        patience = self.seconds - self.left
        return self.seconds >= LONG_WAIT and time.monotonic() - self._real > STARVED * patience

    def passed(self) -> bool:
        """Whether the end has come. Raises TooBusy if it has come for want of the processor."""
        if self.left > 0:
            return False
        if self.starved:
            raise TooBusy(
                f"this machine was too busy: {self.seconds:g} s of patience took "
                f"{time.monotonic() - self._real:.0f} s, and still it was not enough"
            )
        return True

    def wait(self, event: threading.Event) -> bool:
        """Wait for `event` until the end; whether it is set."""
        while not event.wait(min(max(self.left, 0.001), _LOOK_AGAIN)):
            if self.passed():
                return event.is_set()
        return True

    def receive(self, sock: socket.socket, size: int) -> bytes:
        """Some bytes of a socket, at the latest at the end: then TimeoutError."""
        while True:
            sock.settimeout(min(max(self.left, 0.001), _LOOK_AGAIN))
            try:
                return sock.recv(size)
            except TimeoutError:
                if self.passed():
                    raise


def now() -> float:
    """Seconds of patience that have passed since some moment."""
    return _clock().now()


def longest(seconds: float) -> float:
    """So many real seconds are surely enough; for waits that only the operating system can end."""
    return seconds * MOST


class _Clock:
    """One for each process; a thread keeps it right."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._cores = len(os.sched_getaffinity(0))
        self._share = 1.0
        self._share_again = 0.0  # when, in real time, it is to be found out again
        # Reentrant: a signal handler may ask while the thread it interrupted is asking.
        self._lock = threading.RLock()
        # Patience, the real time when it was that, the rate since.
        self._seen = (0.0, time.monotonic(), self._measured(_TICK))
        threading.Thread(target=self._tick, name="patience", daemon=True).start()

    def now(self) -> float:
        with self._lock:
            patience, real, rate = self._seen
            # The thread may be late: what it has not seen passes at the last rate, but not for long.
            return patience + min(time.monotonic() - real, 2 * _TICK) * rate

    def _tick(self) -> None:
        while True:
            time.sleep(_TICK)
            rate = self._measured(time.monotonic() - self._seen[1])
            # What is past has passed at the rate that `now` showed meanwhile, or patience would jump.
            with self._lock:
                self._seen = (self.now(), time.monotonic(), rate)

    def _measured(self, elapsed: float) -> float:
        """The part of a real second that counts."""
        punctual = min(1.0, 1.1 * _TICK / elapsed)
        before = time.monotonic()
        if before >= self._share_again:
            self._share = _share(self._cores)
            self._share_again = before + _DEAR * (time.monotonic() - before)
        return max(1 / MOST, punctual * min(1.0, _speed()) * self._share)


def _speed() -> float:
    """How fast a processor is, compared with where the patience was chosen."""
    before = time.thread_time()
    sum(range(_WORK))
    return _WORK_SECONDS / max(time.thread_time() - before, 1e-9)


def _share(cores: int) -> float:
    """The part of a processor that somebody gets who wants one, and has to share with others than our own."""
    try:
        running = int(Path("/proc/loadavg").read_text().split()[3].partition("/")[0])
    except (OSError, ValueError, IndexError):
        return 1.0
    if running <= cores:
        return 1.0
    others = running - running_below(os.getpid())
    return min(1.0, cores / max(1, others + 1))


_the_clock: _Clock | None = None
_making = threading.Lock()


def _clock() -> _Clock:
    global _the_clock
    if _the_clock is None or _the_clock.pid != os.getpid():
        with _making:
            if _the_clock is None or _the_clock.pid != os.getpid():
                _the_clock = _Clock()
    return _the_clock

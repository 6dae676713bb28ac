"""Threads of the harness that play nodes, and whether they all wait: time must not jump over their heads either.

The kernel says of a node's threads that they sleep, but not of ours, which sleep whenever they wait for the
interpreter. So they are counted: an actor is at work unless it waits for a socket that has nothing for it, and it is at
work again before it takes a byte.
"""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Callable

from harness.patience import Deadline

_LOOK_AGAIN = 1.0


class Actors:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._at_work = 0
        self._waiting: set[int] = set()  # file descriptors, each of one actor
        self._threads: set[threading.Thread] = set()
        self.beside = 0  # threads that are no actors, and may do anything to the cluster at any moment

    def start(self, play: Callable[[], None], name: str) -> None:
        """Run `play` in an actor of its own, which is at work from now on."""
        thread = threading.Thread(target=self._run, args=(play,), name=name, daemon=True)
        with self._lock:
            self._at_work += 1
            self._threads.add(thread)
        thread.start()

    def start_beside(self, work: Callable[[], None], name: str) -> None:
        """Run `work` in a thread that is no actor. It does not count as at work, but as `beside`."""
        with self._lock:
            self.beside += 1
        threading.Thread(target=self._run_beside, args=(work,), name=name, daemon=True).start()

    def await_readable(self, sock: socket.socket, deadline: Deadline) -> None:
        """Return when there is something to take from `sock`, or at the deadline. At once in a thread that is no actor."""
        if threading.current_thread() not in self._threads:
            return
        descriptor = sock.fileno()
        poll = poll_of(descriptor)
        with self._lock:
            self._at_work -= 1
            self._waiting.add(descriptor)
        while not poll.poll(1000 * min(max(deadline.left, 0.0), _LOOK_AGAIN)) and deadline.left > 0:
            pass
        with self._lock:
            self._at_work += 1
            self._waiting.discard(descriptor)

    def rest(self) -> bool:
        """Whether every actor waits for what has not come."""
        with self._lock:
            return not self._at_work and not poll_of(*self._waiting).poll(0)

    def __bool__(self) -> bool:
        return bool(self._threads)

    def _run(self, play: Callable[[], None]) -> None:
        try:
            play()
        finally:
            with self._lock:
                self._at_work -= 1
                self._threads.discard(threading.current_thread())

    def _run_beside(self, work: Callable[[], None]) -> None:
        try:
            work()
        finally:
            with self._lock:
                self.beside -= 1


def poll_of(*descriptors: int) -> select.poll:
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return poll

"""The proxy: one thread through which every connection between nodes passes.

A node connects here, shows the token that says who it is, and names whom it wants; so both ends of every frame are
known without trusting a header: `handshake` puts it through, `connection` is what results, `pipe` each direction of it.

Everything below the comment "in the proxy's thread" runs there and nowhere else.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import os
import select
import socket
import threading
from collections import deque
from collections.abc import Callable, Hashable

from harness.network.connection import Connection
from harness.network.faults.base import Fault
from harness.network.frame import REQUEST, Frame
from harness.network.handshake import Handshake
from harness.network.pipe import Pipe
from harness.processes.virtual_time import TimePage

JOURNAL_LENGTH = 200_000

_BUFFER = 256 * 1024

Undecoded = tuple[float, Pipe, bytes, int, int]  # time, pipe, header and glimpse; sizes of header and frame


class Proxy:
    def __init__(self, time: TimePage) -> None:
        self.time = time
        # A frame that no fault looked at is journalled as it came, and decoded when somebody reads the journal.
        self.journal: deque[Frame | Undecoded] = deque(maxlen=JOURNAL_LENGTH)
        self.methods: dict[tuple[int, Hashable], str] = {}  # of (connection, xid), the latest requests'
        self.faults: tuple[Fault, ...] = ()
        self.buffer = memoryview(bytearray(_BUFFER))
        self._tokens: dict[bytes, str] = {}
        self.ports: dict[str, int] = {}
        self._known: set[str] = set()
        self._handlers: dict[int, Callable[[int], None]] = {}
        self._handshakes: set[Handshake] = set()
        self._connections: set[Connection] = set()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._inbox: deque[Callable[[], None]] = deque()
        self._running = True
        self._epoll = select.epoll()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._bell_out, self._bell_in = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.watch(self._listener.fileno(), select.EPOLLIN, self._accept)
        self.watch(self._bell_out, select.EPOLLIN, self._answer_bell)
        self.thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self.thread.start()

    # ---- from any thread

    def submit(self, action: Callable[[], None]) -> None:
        """Run `action` in the proxy's thread; returns when it has run."""
        if threading.current_thread() is self.thread:
            action()
            return
        done = threading.Event()
        failure: list[BaseException] = []

        def run() -> None:
            try:
                action()
            except BaseException as error:
                failure.append(error)
            finally:
                done.set()

        self._inbox.append(run)
        self.wake()
        while not done.wait(1.0):
            if not self.thread.is_alive() and not done.is_set():  # `action` may have ended it
                raise RuntimeError("the proxy has ended")
        if failure:
            raise failure[0]

    def introduce(self, name: str, token: bytes) -> None:
        self._known.add(name)
        self._tokens[token] = name

    def set_port(self, name: str, port: int | None) -> None:
        """Where `name` listens; None when it is down."""
        if port is None:
            self.ports.pop(name, None)
        else:
            self.ports[name] = port

    def hang_up(self, name: str) -> None:
        """`name` is gone: when this returns, whoever it was connected to has been told so, as far as faults let it be."""
        self.ports.pop(name, None)

        def hang_up() -> None:
            for connection in [*self._connections]:
                connection.hang_up(name)

        self.submit(hang_up)

    def wake(self) -> None:
        """Time has jumped, or there is something in the inbox."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._bell_in, b"!")

    def close(self) -> None:
        if self.thread.is_alive():
            self.submit(self._stop)
            self.thread.join(10)

    # ---- in the proxy's thread

    def set_faults(self, faults: tuple[Fault, ...]) -> None:
        """Replace all faults; what a partition held up (connection attempts, ends of streams) is looked at again."""
        self.faults = faults
        for waiting in [*self._handshakes, *self._connections]:
            waiting.reconsider()

    def blocked(self, sender: str, receiver: str) -> bool:
        return any(fault.blocks(sender, receiver) for fault in self.faults)

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Run `action` in `seconds` of virtual time."""
        heapq.heappush(self._timers, (self.time.now() + seconds, next(self._numbers), action))

    def watch(self, fd: int, events: int, handler: Callable[[int], None]) -> None:
        if fd in self._handlers:
            self._epoll.modify(fd, events)
        else:
            self._epoll.register(fd, events)
        self._handlers[fd] = handler

    def unwatch(self, fd: int) -> None:
        if self._handlers.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def _run(self) -> None:
        handlers, poll = self._handlers, self._epoll.poll
        while self._running:
            for fd, events in poll(self._patience()):
                handler = handlers.get(fd)
                if handler is not None:
                    handler(events)
            while self._timers and self._timers[0][0] <= self.time.now():
                heapq.heappop(self._timers)[2]()
        for waiting in [*self._handshakes, *self._connections]:
            waiting.close()
        self._listener.close()
        self._epoll.close()
        os.close(self._bell_in)
        os.close(self._bell_out)

    def _patience(self) -> float:
        """Real seconds until the next timer."""
        if not self._timers:
            return -1
        pace = self.time.pace()
        left = self._timers[0][0] - self.time.now()
        return max(0.0, left / pace) if pace > 0 else (0.0 if left <= 0 else -1)

    def _stop(self) -> None:
        self._running = False

    def _answer_bell(self, _: int) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._bell_out, 4096)
        while self._inbox:
            self._inbox.popleft()()

    def _accept(self, _: int) -> None:
        try:
            sock, _address = self._listener.accept()
        except OSError:
            return  # the node died between knocking and our opening
        sock.setblocking(False)
        self._handshakes.add(Handshake(self, sock))

    def drop_handshake(self, handshake: Handshake) -> None:
        self._handshakes.discard(handshake)

    def drop_connection(self, connection: Connection) -> None:
        self._connections.discard(connection)

    def method_of(self, key: tuple[int, Hashable]) -> str:
        """The method of a request that passed before any fault made us decode: look back."""
        for entry in reversed(self.journal):
            if isinstance(entry, tuple):
                now, pipe, seen, header_size, size = entry
                if pipe.connection.number != key[0] or pipe.kind != REQUEST:
                    continue
                entry = pipe.frame(now, seen, header_size, size)
            if entry.kind == REQUEST and (entry.connection, entry.xid) == key:
                return entry.method
        return "?"

    def resolve(self, token: bytes) -> str | None:
        return self._tokens.get(token)

    def target(self, name: str) -> int | None:
        """The port of a node; None when it is down; LookupError when there is none of that name."""
        if name not in self._known:
            raise LookupError(name)
        return self.ports.get(name)

    def join(self, sender: str, receiver: str, client: socket.socket, server: socket.socket) -> None:
        self._connections.add(Connection(self, next(self._numbers), sender, receiver, client, server))

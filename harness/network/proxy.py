"""The proxy: one thread through which every connection between nodes passes.

A node connects here, shows the token that says who it is, and names whom it wants; so both ends of every frame are
known without trusting a header. Frames without a fault are passed on as they arrive, never collected, so a big payload
costs no memory and a lie about its length costs nothing. Only a frame that a fault wants is collected whole.

Everything below the comment "in the proxy's thread" runs there and nowhere else.
"""

from __future__ import annotations

import contextlib
import errno
import heapq
import itertools
import os
import select
import socket
import threading
from collections import deque
from collections.abc import Callable, Hashable

from harness.network.faults.base import PASS, Fate, Fault
from harness.network.frame import PREFIX, REPLY, REQUEST, Frame, decode_header, plausible
from harness.processes.proxied_network import CONNECTED, REFUSED, TOKEN_SIZE, UNKNOWN
from harness.processes.virtual_time import TimePage

JOURNAL_LENGTH = 200_000

_BUFFER = 256 * 1024
_REMEMBERED = 4096  # requests whose method a reply can be given without looking into the journal
_ENDLESS = 1 << 62


Undecoded = tuple[float, "_Pipe", bytes, int]  # time, pipe, header, size of the frame


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
        self._handshakes: set[_Handshake] = set()
        self._connections: set[_Connection] = set()
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
            if not self.thread.is_alive():
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
        self._handshakes.add(_Handshake(self, sock))

    def drop_handshake(self, handshake: _Handshake) -> None:
        self._handshakes.discard(handshake)

    def drop_connection(self, connection: _Connection) -> None:
        self._connections.discard(connection)

    def method_of(self, key: tuple[int, Hashable]) -> str:
        """The method of a request that passed before any fault made us decode: look back."""
        for entry in reversed(self.journal):
            if isinstance(entry, tuple):
                now, pipe, header, size = entry
                if pipe.connection.number != key[0] or pipe.kind != REQUEST:
                    continue
                entry = pipe.frame(now, header, size)
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
        self._connections.add(_Connection(self, next(self._numbers), sender, receiver, client, server))


class _Handshake:
    """A node that has connected and not yet been put through."""

    def __init__(self, proxy: Proxy, sock: socket.socket) -> None:
        self._proxy = proxy
        self._sock = sock
        self._hello = bytearray()
        self._ends: tuple[str, str] | None = None
        self._server: socket.socket | None = None
        proxy.watch(sock.fileno(), select.EPOLLIN, self._read)

    def reconsider(self) -> None:
        if self._ends is not None and self._server is None:
            self._put_through(*self._ends)

    def close(self) -> None:
        for sock in (self._sock, self._server):
            if sock is not None and sock.fileno() >= 0:
                self._proxy.unwatch(sock.fileno())
                sock.close()
        self._proxy.drop_handshake(self)

    def _read(self, _: int) -> None:
        try:
            data = self._sock.recv(512)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._hello += data
        size = TOKEN_SIZE + 1 + (self._hello[TOKEN_SIZE] if len(self._hello) > TOKEN_SIZE else 0)
        sender = self._proxy.resolve(bytes(self._hello[:TOKEN_SIZE]))
        if not data or len(self._hello) > size or (len(self._hello) >= TOKEN_SIZE and sender is None):
            self.close()
        elif len(self._hello) == size > TOKEN_SIZE + 1 and sender is not None:
            self._ends = (sender, self._hello[TOKEN_SIZE + 1 :].decode("utf-8", "replace"))
            self._put_through(*self._ends)

    def _put_through(self, sender: str, receiver: str) -> None:
        # Both ways must be open, as for the packets of a TCP handshake.
        if self._proxy.blocked(sender, receiver) or self._proxy.blocked(receiver, sender):
            return
        try:
            port = self._proxy.target(receiver)
        except LookupError:
            self._refuse(UNKNOWN)
            return
        if port is None:
            self._refuse(REFUSED)
            return
        self._server = socket.socket()
        self._server.setblocking(False)
        self._server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        code = self._server.connect_ex(("127.0.0.1", port))
        if code == 0:
            self._connected(0)
        elif code == errno.EINPROGRESS:
            self._proxy.watch(self._server.fileno(), select.EPOLLOUT, self._connected)
        else:
            self._refuse(REFUSED)

    def _connected(self, _: int) -> None:
        assert self._server is not None and self._ends is not None
        self._proxy.unwatch(self._server.fileno())
        if self._server.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0:
            self._refuse(REFUSED)
            return
        try:
            self._sock.send(CONNECTED)
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            self.close()
            return
        self._proxy.unwatch(self._sock.fileno())
        self._proxy.drop_handshake(self)
        self._proxy.join(*self._ends, self._sock, self._server)

    def _refuse(self, answer: bytes) -> None:
        with contextlib.suppress(OSError):
            self._sock.send(answer)
        self.close()


class _Connection:
    """Two sockets and the pipe in each direction between them."""

    def __init__(
        self,
        proxy: Proxy,
        number: int,
        sender: str,
        receiver: str,
        client: socket.socket,
        server: socket.socket,
    ) -> None:
        self.proxy = proxy
        self.number = number
        self.open = True
        self.requests = _Pipe(self, REQUEST, sender, receiver, client, server)
        self.replies = _Pipe(self, REPLY, receiver, sender, server, client)
        self.interest(client)
        self.interest(server)

    def interest(self, sock: socket.socket) -> None:
        """Tell epoll what we want of a socket: it is the source of one pipe and the sink of the other."""
        if not self.open:
            return
        reading, writing = (
            (self.requests, self.replies) if sock is self.requests.source else (self.replies, self.requests)
        )
        events = (0 if reading.out or reading.ended else select.EPOLLIN) | (
            select.EPOLLOUT if writing.out else 0
        )

        def handle(happened: int) -> None:
            if happened & select.EPOLLOUT:
                writing.flush()
            if happened & ~select.EPOLLOUT and self.open:
                if reading.ended:
                    self.close()  # a broken socket, not merely a finished one
                else:
                    reading.read()

        self.proxy.watch(sock.fileno(), events, reading.read_event if not writing.out else handle)

    def ended(self) -> None:
        if self.requests.finished and self.replies.finished:
            self.close()

    def reconsider(self) -> None:
        self.requests.finish()
        self.replies.finish()

    def close(self) -> None:
        if self.open:
            self.open = False
            for sock in (self.requests.source, self.replies.source):
                self.proxy.unwatch(sock.fileno())
                sock.close()
            self.proxy.drop_connection(self)


class _Pipe:
    """One direction of a connection: finds the frames in it and does with each what the faults say."""

    def __init__(
        self,
        connection: _Connection,
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

    def read(self) -> None:
        buffer = self._proxy.buffer
        try:
            count = self.source.recv_into(buffer)
        except BlockingIOError:
            return
        except OSError:
            count = 0
        if count:
            if not (self._pass_whole(buffer, count)):
                self._take(buffer[:count])
        elif self.connection.open:
            self.ended = True
            self.finish()
            self.connection.interest(self.source)

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
        proxy.journal.append(
            (proxy.time.now(), self, bytes(buffer[PREFIX.size : PREFIX.size + header_size]), count)
        )
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
                self._passing -= whole
            return 0
        if len(joined) < start:
            return self._keep_head(data, whole)
        self._head.clear()
        size = start + payload_size
        frame = self._identify(bytes(joined[PREFIX.size : start]), size)
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

    def _identify(self, header: bytes, size: int) -> Frame:
        frame = self.frame(self._proxy.time.now(), header, size)
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

    def frame(self, now: float, header: bytes, size: int) -> Frame:
        return Frame(
            self.kind, self.sender, self.receiver, decode_header(header), size, self.connection.number, now
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

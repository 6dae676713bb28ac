"""One thread for all connections; handlers run in workers, and their answers come back to that thread.

The table of calls belongs to the loop, so nothing in it needs a lock.
"""

from __future__ import annotations

import contextlib
import inspect
import selectors
import socket
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from rpc.messages import check_request, encode_outcome
from rpc.wire import Buffer, Frame, FrameAssembler
from rpc.workers import Workers

from labkit import Context
from labkit.errors import (
    BadArguments,
    Forgotten,
    HandlerFailed,
    MalformedFrame,
    RemoteError,
    SessionLost,
    UnknownMethod,
)
from labkit.protocol import HELLO

Handler = Callable[..., Any]
SIDE_BY_SIDE = 256  # requests of one connection that run at the same time
REMEMBERED = 3600.0  # seconds for which a client is remembered that says nothing
UNREAD = 16 * 1024 * 1024  # bytes of answers after which nothing more is read from a peer


class _Peer:
    """One connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.frames = FrameAssembler()
        self.requests: deque[Frame] = deque()
        self.running = 0
        self.out: deque[memoryview] = deque()
        self.unsent = 0
        self.open = True


class _Known:
    """What is remembered of one client: the answer to each call, or who waits for it."""

    def __init__(self) -> None:
        self.heard = 0.0
        self.ack = 0
        self.answers: dict[int, list[Buffer]] = {}
        self.waiting: dict[int, list[_Peer]] = {}


class Server:
    def __init__(self, context: Context, handlers: Mapping[str, Handler]) -> None:
        self._context = context
        self._handlers = dict(handlers)
        self._epoch = context.rng.getrandbits(62) + 1
        self._known: dict[int, _Known] = {}
        self._sweep_at = 0.0
        self._workers = Workers(f"{context.name}-handler")
        self._done: deque[Callable[[], None]] = deque()  # for the loop to do
        self._thread: threading.Thread | None = None
        self._stopping = False

    def start(self) -> None:
        self._listener = self._context.network.listen()
        self._listener.setblocking(False)
        self._bell, self._ear = socket.socketpair()
        self._ear.setblocking(False)
        self._bell.setblocking(False)
        self._thread = threading.Thread(target=self._loop, name=f"{self._context.name}-loop", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        if self._thread is None or self._stopping:
            self._stopping = True
            return
        self._tell(self._end)
        if self._thread is not threading.current_thread():
            self._thread.join(5)
        self._workers.close(2.0)

    def _end(self) -> None:
        self._stopping = True

    def _tell(self, what: Callable[[], None]) -> None:
        self._done.append(what)
        with contextlib.suppress(OSError):  # full: it rings already; closed: nobody needs to hear
            self._bell.send(b"!")

    def _loop(self) -> None:
        with selectors.DefaultSelector() as self._selector:
            self._selector.register(self._listener, selectors.EVENT_READ, None)
            self._selector.register(self._ear, selectors.EVENT_READ, None)
            while not self._stopping:
                for key, events in self._selector.select():
                    if key.fileobj is self._listener:
                        self._accept()
                    elif key.fileobj is self._ear:
                        with contextlib.suppress(BlockingIOError):
                            self._ear.recv(4096)
                    elif key.data.open:
                        self._serve(key.data, events)
                while self._done:
                    self._done.popleft()()
            for key in list(self._selector.get_map().values()):
                if isinstance(key.data, _Peer):
                    self._drop(key.data)
        for sock in (self._listener, self._ear, self._bell):
            sock.close()

    # ---- connections

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return
        sock.setblocking(False)
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._selector.register(sock, selectors.EVENT_READ, _Peer(sock))

    def _drop(self, peer: _Peer) -> None:
        if peer.open:
            peer.open = False
            self._selector.unregister(peer.sock)
            with contextlib.suppress(OSError):
                peer.sock.shutdown(socket.SHUT_RDWR)
            peer.sock.close()
            peer.requests.clear()

    def _serve(self, peer: _Peer, events: int) -> None:
        try:
            if events & selectors.EVENT_WRITE:
                self._flush(peer)
            if events & selectors.EVENT_READ and peer.open:
                self._read(peer)
        except (OSError, MalformedFrame) as error:
            self._context.annotate("peer dropped", why=repr(error))
            self._drop(peer)

    def _read(self, peer: _Peer) -> None:
        count = peer.sock.recv_into(peer.frames.room())
        if count == 0:
            self._drop(peer)
            return
        peer.frames.filled(count)
        while (frame := peer.frames.take()) is not None:
            check_request(frame)
            peer.requests.append(frame)
        self._begin(peer)

    def _begin(self, peer: _Peer) -> None:
        while peer.requests and peer.running < SIDE_BY_SIDE:
            peer.running += 1
            self._request(peer, peer.requests.popleft())
        self._watch(peer)

    def _watch(self, peer: _Peer) -> None:
        if peer.open:
            drowned = peer.unsent > UNREAD or len(peer.requests) > 4 * SIDE_BY_SIDE
            events = (selectors.EVENT_READ if not drowned else 0) | (selectors.EVENT_WRITE if peer.out else 0)
            # A peer with nothing to do is still watched, for its end.
            self._selector.modify(peer.sock, events or selectors.EVENT_WRITE, peer)

    def _answer(self, peer: _Peer, frame: list[Buffer]) -> None:
        peer.running -= 1
        if not peer.open:
            return
        for buffer in frame:
            peer.out.append(memoryview(buffer))
            peer.unsent += len(buffer)
        try:
            self._flush(peer)
        except OSError:
            self._drop(peer)
            return
        if peer.requests:
            self._begin(peer)

    def _flush(self, peer: _Peer) -> None:
        while peer.out:
            try:
                count = peer.sock.send(peer.out[0])
            except BlockingIOError:
                break
            peer.unsent -= count
            rest = peer.out[0][count:]
            if rest:
                peer.out[0] = rest
            else:
                peer.out.popleft()
        self._watch(peer)

    # ---- calls

    def _request(self, peer: _Peer, frame: Frame) -> None:
        header = frame.header
        (client, seq), ack, epoch = header["xid"], header["ack"], header["epoch"]
        if header["method"] == HELLO:
            self._answer(peer, encode_outcome(header["xid"], {"epoch": self._epoch}))
            return
        if epoch is None:
            self._hand_out(frame, lambda answer: self._answer(peer, answer))
            return
        if epoch != self._epoch:
            self._answer(peer, encode_outcome(header["xid"], SessionLost("that was another life of mine")))
            return
        now = self._context.clock.now()
        self._sweep(now)
        known = self._known.setdefault(client, _Known())
        known.heard = now
        if ack > known.ack:
            known.ack = ack
            known.answers = {number: kept for number, kept in known.answers.items() if number > ack}
        if seq <= known.ack:
            self._answer(peer, encode_outcome(header["xid"], Forgotten("long ago")))
        elif seq in known.answers:
            self._answer(peer, known.answers[seq])
        elif seq in known.waiting:
            known.waiting[seq].append(peer)
        else:
            known.waiting[seq] = [peer]
            self._hand_out(frame, lambda answer: self._finish(known, seq, answer))

    def _sweep(self, now: float) -> None:
        """Once in a while, forget those that have been silent for long, however few there are."""
        if now >= self._sweep_at:
            self._sweep_at = now + REMEMBERED / 4
            for client, known in [*self._known.items()]:
                if now - known.heard > REMEMBERED and not known.waiting:
                    del self._known[client]

    def _finish(self, known: _Known, seq: int, answer: list[Buffer]) -> None:
        if seq > known.ack:
            known.answers[seq] = answer
        for peer in known.waiting.pop(seq):
            self._answer(peer, answer)

    def _hand_out(self, frame: Frame, then: Callable[[list[Buffer]], None]) -> None:
        def job() -> None:
            answer = self._run(frame)
            self._tell(lambda: then(answer))

        self._workers.run(job)

    def _run(self, frame: Frame) -> list[Buffer]:
        xid = frame.header["xid"]
        try:
            answer = encode_outcome(xid, self._call(frame))
        except Exception as error:
            return encode_outcome(xid, HandlerFailed(f"it raised {error!r}"))
        return [bytes(part) for part in answer]

    def _call(self, frame: Frame) -> Any:
        handler = self._handlers.get(frame.header["method"])
        if handler is None:
            return UnknownMethod(f"no {frame.header['method']} here")
        args = dict(frame.header["args"])
        if frame.payload:
            if "payload" in args:
                return BadArguments("two payloads")
            args["payload"] = frame.payload
        try:
            inspect.signature(handler).bind(**args)
        except TypeError as error:
            return BadArguments(f"{error}")
        try:
            return handler(**args)
        except (SessionLost, Forgotten, UnknownMethod) as error:
            return HandlerFailed(f"a call of its own ended in {error!r}")
        except RemoteError as error:
            return error

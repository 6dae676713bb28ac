"""The server: a thread for every connection, handlers by name, at most once where the request asks for it.

Contract: the answer to an at-most-once request is in the table before it is sent, so a repeat finds it
however the sending goes. The epoch is as old as the table: a request that names another epoch may have run
in an earlier life, so it is refused (SessionLost) rather than run.

Whatever one peer does, send rubbish, stop reading, vanish, costs that peer's connection and nothing else.
"""

from __future__ import annotations

import contextlib
import inspect
import logging
import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

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
from rpc.duplicates import FORGOTTEN, RUN, WAIT, DuplicateTable
from rpc.messages import Request, encode_answer, parse_request
from rpc.stream import FrameStream
from rpc.wire import Buffer

Handler = Callable[..., Any]

STOP_PATIENCE = 2.0  # real seconds `stop` waits for handlers that still run
_log = logging.getLogger(__name__)


class Server:
    """Answers calls to this node. One start, one stop; a node that restarts makes a new Server.

    A handler is called as `handler(**args)`, with `payload=` added when the request has one (so give that
    parameter a default if the payload may be empty), from any number of threads at once. It returns a plain
    value, or a `Reply` with a payload, or raises a RemoteError to say no. Whatever else it raises is a bug: log it
    with its traceback, and the grader shows the line, in every lab.
    """

    def __init__(self, context: Context, handlers: Mapping[str, Handler]) -> None:
        self._context = context
        self._handlers = dict(handlers)
        self._epoch = context.rng.getrandbits(63)
        self._table: DuplicateTable[list[Buffer]] = DuplicateTable()
        self._table_lock = threading.Lock()
        self._finished = threading.Condition(self._table_lock)  # some call has, or the server stops
        self._waiting = 0  # duplicates that wait for it
        self._lock = threading.Lock()  # guards what follows
        self._listener: socket.socket | None = None
        self._threads: dict[threading.Thread, FrameStream | None] = {}
        self._stopping = False

    def start(self) -> None:
        """Listen, and answer from threads in the background. Returns once peers can connect."""
        # lab 1 part B: listen on context.network, accept in a daemon thread
        if self._listener is not None or self._stopping:
            raise RuntimeError("a Server starts once: make a new one, with a new epoch and an empty table")
        listener = self._listener = self._context.network.listen()
        self._spawn(lambda: self._accept(listener), None, "accept")

    def stop(self) -> None:
        """Stop listening, break every connection and wait, not for ever, for the threads to end.

        Requests whose handler still runs get no answer. Stopping twice, or before the start, is no error.
        """
        # lab 1 part D: shutdown wakes a thread that is blocked on a socket, closing it does not
        with self._lock:
            self._stopping = True
            threads = dict(self._threads)
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
        for stream in threads.values():
            if stream is not None:
                stream.abort()
        with self._finished:
            self._finished.notify_all()
        give_up = time.monotonic() + STOP_PATIENCE
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, give_up - time.monotonic()))

    def _spawn(self, body: Callable[[], None], stream: FrameStream | None, what: str) -> None:
        # lab 1 part B
        def run() -> None:
            try:
                body()
            finally:
                with self._lock:
                    del self._threads[threading.current_thread()]

        thread = threading.Thread(target=run, name=f"{self._context.name}-rpc-{what}", daemon=True)
        with self._lock:
            thread.start()
            self._threads[thread] = stream
            # A connection accepted while stop() ran is not on stop's list.
            if self._stopping and stream is not None:
                stream.abort()

    def _accept(self, listener: socket.socket) -> None:
        # lab 1 part B
        with listener:
            while not self._stopping:
                try:
                    sock, _ = listener.accept()
                except OSError:
                    # Stopping, or a peer that left before its turn, or no descriptor is free just now.
                    if not self._stopping:
                        self._context.clock.sleep(0.1)
                    continue
                with contextlib.suppress(OSError):  # the peer has left already; its thread will find out
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                stream = FrameStream(sock, self._context.clock, parse_request)
                try:
                    self._spawn(lambda stream=stream: self._serve(stream), stream, "connection")
                except RuntimeError as error:  # no more threads: this peer has to come again
                    self._context.annotate("connection_refused", why=str(error))
                    stream.close()

    def _serve(self, stream: FrameStream) -> None:
        # lab 1 part B
        try:
            while (frame := stream.receive()) is not None:
                request, payload = frame
                stream.send(self._answer(request, payload))
        except MalformedFrame as error:
            self._context.annotate("malformed_frame", why=str(error))
        except OSError as error:
            self._context.annotate("connection_broke", why=str(error))
        finally:
            stream.close()

    def _answer(self, request: Request, payload: Buffer) -> list[Buffer]:
        """The frame that answers one transmission of a request."""
        # lab 1 part B
        if request.method == HELLO:
            return encode_answer(request.xid, {"epoch": self._epoch})
        if request.epoch is None:
            return self._run(request, payload)
        if request.epoch != self._epoch:
            return encode_answer(request.xid, SessionLost("this server has restarted since"))
        return self._run_at_most_once(request, payload)

    def _run_at_most_once(self, request: Request, payload: Buffer) -> list[Buffer]:
        # lab 1 part C
        client, seq = request.xid
        clock = self._context.clock
        with self._table_lock:
            found = self._table.begin(client, seq, request.ack, clock.now())
            while found is WAIT:
                if self._stopping:
                    raise ConnectionAbortedError("the server stops")
                self._waiting += 1
                clock.wait(self._finished, None)
                self._waiting -= 1
                found = self._table.begin(client, seq, request.ack, clock.now())
        if found is FORGOTTEN:
            return encode_answer(request.xid, Forgotten("you acknowledged this call's answer"))
        if found is not RUN:
            return found
        answer = self._run(request, payload)
        if len(answer) > 1:
            # A copy of its own: the handler may go on to change the payload it returned.
            answer[1] = bytes(answer[1])
        with self._table_lock:
            self._table.finish(client, seq, answer)
            if self._waiting:
                self._finished.notify_all()
        return answer

    def _run(self, request: Request, payload: Buffer) -> list[Buffer]:
        """Run the handler, whatever it does, and encode what came of it."""
        # lab 1 part B
        try:
            return encode_answer(request.xid, self._outcome(request, payload))
        except Exception as error:
            _log.exception("handler of %s failed", request.method)
            return encode_answer(request.xid, HandlerFailed(f"{type(error).__name__}: {error}"))

    def _outcome(self, request: Request, payload: Buffer) -> Any:
        """What the handler returned, or the RemoteError that it raised or that says why it did not run."""
        # lab 1 part B
        handler = self._handlers.get(request.method)
        if handler is None:
            return UnknownMethod(request.method)
        args = request.args
        if payload:
            if "payload" in args:
                return BadArguments("payload comes beside the arguments, not as one")
            args = {**args, "payload": payload}
        try:
            value = handler(**args)
        except (SessionLost, Forgotten, UnknownMethod):
            # From a call that the handler made itself. Passed on, it would tell our client things about
            # this call that are not so: SessionLost, that it never ran.
            raise
        except RemoteError as error:
            return error
        except TypeError as error:
            if _accepts(handler, args):
                raise
            return BadArguments(str(error))
        if isinstance(value, RemoteError):
            raise TypeError("a RemoteError is raised, not returned")
        return value


def _accepts(handler: Handler, args: Mapping[str, Any]) -> bool:
    """Whether `handler` can be called with `args`, so that a TypeError must come from inside it.

    A decorator's own signature counts, not that of what it wraps: it may have acted already.
    """
    # lab 1 part B
    try:
        inspect.signature(handler, follow_wrapped=False).bind(**args)
    except TypeError:
        return False
    except ValueError:  # a built-in that does not tell its signature
        return True
    return True

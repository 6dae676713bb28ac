"""One call on its way: send the request, wait, send it again, and say honestly how it ended.

Every transmission carries the same xid, so that the server can tell a repeat from a new call. What the
caller may believe in the end rests on one count, the transmissions that may have reached a server. A
request that the system did not take to its last byte does not count: half a frame never runs.

    none sent                          Unreachable      it surely did not run
    sent, the last attempt timed out   CallTimeout      nobody knows
    sent, the connection broke         ConnectionLost   nobody knows

SessionLost says that the server is in another life than the one whose epoch the request names. If the call
was sent exactly once, then that transmission is the one refused here, so no life ever ran it: it is sent
anew under the new epoch, and the caller notices nothing. After two transmissions the other one may have
run in the life before; nobody knows, and the caller gets SessionLost.
"""

from __future__ import annotations

from labkit import Context
from labkit.codec import UNSET
from labkit.errors import (
    CallFailed,
    CallTimeout,
    ConnectionLost,
    MalformedFrame,
    SessionLost,
    Unreachable,
)
from labkit.protocol import HELLO
from rpc.connections import ConnectionPool
from rpc.messages import Answer, Reply, Request, error_in, reply_in
from rpc.retry import RetryPolicy
from rpc.sessions import Session
from rpc.stream import DeadlinePassed, FrameStream
from rpc.wire import Buffer


class Peer:
    """A server as a client of this node knows it: its name, the connections to it, and the numbering of calls."""

    def __init__(self, context: Context, name: str) -> None:
        self.context = context
        self.name = name
        self.pool = ConnectionPool(context, name)
        self.session = Session()


class OutgoingCall:
    """Runs one request against one server. Used once, by one thread."""

    __slots__ = ("_frame", "_payload", "_peer", "_request", "_sent", "_stream")

    def __init__(self, peer: Peer, request: Request, payload: Buffer) -> None:
        """TypeError or ValueError when the request cannot be encoded; nothing has been sent then."""
        # lab 1 part B: encode now, so that a value that cannot be sent is refused before anything is
        self._peer = peer
        self._request = request
        self._payload = payload
        self._frame = request.frame(payload)
        self._stream: FrameStream | None = None  # kept from attempt to attempt until it breaks
        self._sent = 0  # transmissions under this epoch that may have reached the server

    def run(self, policy: RetryPolicy) -> Reply:
        """The server's reply, or the RemoteError it answered with, or the CallFailed of the table above.

        An attempt ends early when its connection breaks; the next still starts when its time is over,
        so that a server that just died is not stormed.
        """
        # lab 1 part B: for each attempt of the policy: its timeout; a broken connection is dropped, a silent one kept
        context = self._peer.context
        clock, rng = context.clock, context.rng
        resume = 0.0
        failure: Exception | None = None
        try:
            for attempt in range(policy.attempts):
                if self._stream is None and failure is not None and not self._peer.pool.pause(resume):
                    break
                resume = clock.now() + policy.timeout(attempt, rng)
                try:
                    return self._attempt(resume)
                except DeadlinePassed as error:
                    failure = error
                except (OSError, LookupError, MalformedFrame) as error:
                    failure = error
                    self._drop_stream()
            raise self._verdict(failure) from failure
        finally:
            self._drop_stream()

    def _attempt(self, deadline: float) -> Reply:
        # lab 1 part B
        peer, request, stream = self._peer, self._request, self._stream
        if stream is None:
            stream = self._stream = peer.pool.borrow(deadline)
        if self._sent == 0 and request.epoch != peer.session.epoch:
            self._renew_epoch(stream, deadline)
        answer, payload = self._exchange(stream, request, self._frame, deadline)
        if answer.error is not UNSET and self._never_ran(answer):
            self._renew_epoch(stream, deadline)
            answer, payload = self._exchange(stream, request, self._frame, deadline)
        if self._sent == 1:
            # Answered as often as asked: nothing more will come.
            self._stream = None
            peer.pool.give_back(stream)
        return reply_in(answer, payload)

    def _exchange(
        self, stream: FrameStream, request: Request, frame: list[Buffer], deadline: float
    ) -> tuple[Answer, Buffer]:
        """Send our request, or a hello before it, and wait for its answer."""
        # lab 1 part B
        try:
            stream.send(frame, deadline)
        except DeadlinePassed:
            self._drop_stream()  # half a frame is on it
            raise
        if request is self._request:
            self._sent += 1
        while (received := stream.receive(deadline)) is not None:
            if received[0].xid == request.xid:
                return received
            # An answer to a request that nobody waits for any more, or a duplicate of one we had.
        raise ConnectionResetError("the server closed the connection")

    def _never_ran(self, answer: Answer) -> bool:
        """Whether the call, sent once, was meant for an earlier life of the server; it may be sent anew then."""
        # lab 1 part C
        if not isinstance(error_in(answer), SessionLost):
            return False
        self._peer.context.annotate("session_lost", server=self._peer.name, sent=self._sent)
        self._peer.session.lost(self._request.epoch)
        if self._sent > 1:
            return False
        self._sent = 0  # the one transmission was refused: see the module's docstring
        return True

    def _renew_epoch(self, stream: FrameStream, deadline: float) -> None:
        # lab 1 part C
        if self._request.epoch is None:  # best effort
            return
        session = self._peer.session
        epoch = session.epoch
        if epoch is None:
            client, _ = self._request.xid
            hello = Request(HELLO, {}, (client, session.number()), 0, None)
            answer, payload = self._exchange(stream, hello, hello.frame(b""), deadline)
            epoch = session.epoch = _epoch_in(reply_in(answer, payload))
        if epoch != self._request.epoch:
            self._request.epoch = epoch
            self._frame = self._request.frame(self._payload)

    def _verdict(self, failure: Exception | None) -> CallFailed:
        # lab 1 part B
        what = f"{self._request.method} at {self._peer.name}"
        why = failure or "this client is closed"
        if self._sent == 0:
            return Unreachable(f"{what}: never sent: {why}")
        if isinstance(failure, DeadlinePassed):
            return CallTimeout(f"{what}: sent {self._sent} times, no answer")
        return ConnectionLost(f"{what}: sent {self._sent} times, then: {why}")

    def _drop_stream(self) -> None:
        # lab 1 part B
        if self._stream is not None:
            self._peer.pool.discard(self._stream)
            self._stream = None


def _epoch_in(answer: Reply) -> int:
    # lab 1 part C
    match answer.value:
        case {"epoch": int(epoch)}:
            return epoch
        case _:
            raise MalformedFrame("the answer to hello needs an epoch")

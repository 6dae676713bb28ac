"""All calls to one server share a connection; a thread reads it and finds the call of each answer."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from rpc.messages import Reply, outcome_in
from rpc.retry import RetryPolicy
from rpc.stream import DeadlinePassed, FrameStream
from rpc.wire import Buffer, encode

from labkit import Context
from labkit.errors import CallTimeout, ConnectionLost, MalformedFrame, RemoteError, SessionLost, Unreachable
from labkit.protocol import HELLO

USUAL = RetryPolicy()


class _Link:
    """A connection. `changed` is told of every answer, and of the end."""

    def __init__(self, stream: FrameStream, client: int) -> None:
        self.stream = stream
        self.client = client
        self.changed = threading.Condition()
        self.sending = threading.Lock()
        self.waiting: set[int] = set()
        self.outcomes: dict[int, Reply | RemoteError] = {}
        self.broken: Exception | None = None
        self.epoch: int | None = None
        threading.Thread(target=self._read, name="answers", daemon=True).start()

    def _read(self) -> None:
        problem: Exception = ConnectionResetError("the server has ended it")
        try:
            while (frame := self.stream.receive()) is not None:
                xid = frame.header.get("xid")
                with self.changed:
                    if (
                        isinstance(xid, list)
                        and len(xid) == 2
                        and xid[0] == self.client
                        and xid[1] in self.waiting
                    ):
                        self.outcomes[xid[1]] = outcome_in(frame)
                        self.changed.notify_all()
        except (OSError, MalformedFrame) as error:
            problem = error
        self.end(problem)
        self.stream.close()

    def end(self, problem: Exception) -> None:
        with self.changed:
            self.broken = self.broken or problem
            self.changed.notify_all()
        self.stream.abort()


class _Peer:
    """A server: the link to it, and which calls are under way."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.link: _Link | None = None
        self.connecting = False
        self.last = 0
        self.under_way: set[int] = set()


class Client:
    def __init__(self, context: Context, policy: RetryPolicy = USUAL) -> None:
        self._context = context
        self._policy = policy
        self._id = context.rng.getrandbits(63)
        self._lock = threading.Lock()
        self._peers: dict[str, _Peer] = {}
        self._closed = False

    def call(
        self,
        server: str,
        method: str,
        args: Mapping[str, Any] | None = None,
        payload: Buffer = b"",
        *,
        at_most_once: bool = True,
        policy: RetryPolicy | None = None,
    ) -> Reply:
        with self._lock:
            peer = self._peers.setdefault(server, _Peer())
        with peer.changed:
            peer.last += 1
            seq = peer.last
            if at_most_once:
                peer.under_way.add(seq)
            ack = min(peer.under_way, default=seq) - 1
        header = {
            "xid": [self._id, seq],
            "method": method,
            "args": dict(args or {}),
            "ack": ack if at_most_once else 0,
            "epoch": 0 if at_most_once else None,
        }
        try:
            encode(header, payload)
            return self._try(server, peer, header, payload, policy or self._policy)
        finally:
            with peer.changed:
                peer.under_way.discard(seq)
                link = peer.link
            if link is not None:
                with link.changed:
                    link.waiting.discard(seq)
                    link.outcomes.pop(seq, None)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            peers = list(self._peers.values())
        for peer in peers:
            with peer.changed:
                peer.changed.notify_all()
                link = peer.link
            if link is not None:
                link.end(ConnectionAbortedError("this client is closed"))

    def _try(
        self, server: str, peer: _Peer, header: dict[str, Any], payload: Buffer, policy: RetryPolicy
    ) -> Reply:
        clock = self._context.clock
        sent, problem = 0, Exception("closed")
        for timeout in policy.timeouts(self._context.rng):
            if self._closed:
                break
            deadline = clock.now() + timeout
            try:
                link = self._link(server, peer, deadline)
                if header["epoch"] is not None:
                    epoch = self._epoch(peer, link, deadline)
                    if sent and epoch != header["epoch"]:
                        raise SessionLost(f"{server} is in another life by now")
                    header["epoch"] = epoch
                self._send(link, header, payload, deadline)
                sent += 1
                outcome = self._answer(link, header, deadline)
                if isinstance(outcome, SessionLost) and sent == 1:
                    sent, link.epoch = 0, None
                    header["epoch"] = self._epoch(peer, link, deadline)
                    self._send(link, header, payload, deadline)
                    sent = 1
                    outcome = self._answer(link, header, deadline)
                if isinstance(outcome, RemoteError):
                    raise outcome
                return outcome
            except DeadlinePassed as error:
                problem = error
            except (OSError, LookupError, MalformedFrame) as error:
                problem = error
                with peer.changed:
                    clock.wait_for(peer.changed, lambda: self._closed, deadline - clock.now())
        what = f"{header['method']} of {server}, sent {sent} times: {problem!r}"
        if not sent:
            raise Unreachable(what)
        raise (
            CallTimeout(what)
            if isinstance(problem, DeadlinePassed) and not self._closed
            else ConnectionLost(what)
        )

    def _link(self, server: str, peer: _Peer, deadline: float) -> _Link:
        clock = self._context.clock
        with peer.changed:
            while True:
                if self._closed:
                    raise ConnectionAbortedError("this client is closed")
                if peer.link is not None and peer.link.broken is None:
                    return peer.link
                if not peer.connecting:
                    peer.connecting = True
                    break
                if not clock.wait(peer.changed, deadline - clock.now()) and clock.now() >= deadline:
                    raise TimeoutError("nobody could connect")
        link: _Link | None = None
        try:
            sock = self._context.network.connect(server, max(0.0, deadline - clock.now()))
            link = _Link(FrameStream(sock, clock), self._id)
        finally:
            with peer.changed:
                peer.connecting = False
                if link is not None:
                    peer.link = link
                peer.changed.notify_all()
        if self._closed:
            link.end(ConnectionAbortedError("this client is closed"))
        return link

    def _epoch(self, peer: _Peer, link: _Link, deadline: float) -> int:
        if link.epoch is None:
            with peer.changed:
                peer.last += 1
                seq = peer.last
            hello = {"method": HELLO, "args": {}, "xid": [self._id, seq], "ack": 0, "epoch": None}
            self._send(link, hello, b"", deadline)
            outcome = self._answer(link, hello, deadline)
            if isinstance(outcome, RemoteError):
                raise outcome
            link.epoch = int(outcome.value["epoch"])
        return link.epoch

    def _send(self, link: _Link, header: dict[str, Any], payload: Buffer, deadline: float) -> None:
        frame = encode(header, payload)
        with link.changed:
            link.waiting.add(header["xid"][1])
        with link.sending:
            if link.broken is not None:
                raise ConnectionResetError("broken before") from link.broken
            try:
                link.stream.send(frame, deadline)
            except DeadlinePassed as error:
                link.end(error)
                raise

    def _answer(self, link: _Link, header: dict[str, Any], deadline: float) -> Reply | RemoteError:
        clock, seq = self._context.clock, header["xid"][1]
        with link.changed:
            clock.wait_for(
                link.changed,
                lambda: seq in link.outcomes or link.broken is not None,
                deadline - clock.now(),
            )
            if seq in link.outcomes:
                return link.outcomes.pop(seq)
            if link.broken is not None:
                raise ConnectionResetError(f"{link.broken}")
            raise DeadlinePassed

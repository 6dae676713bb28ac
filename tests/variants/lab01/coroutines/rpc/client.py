"""Every attempt has a connection of its own, so nothing of one can ever be taken for another's."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Mapping
from typing import Any

from rpc.messages import Reply
from rpc.retry import RetryPolicy
from rpc.stream import DeadlinePassed, FrameStream
from rpc.wire import Buffer, Frame, encode

from labkit import Context, errors
from labkit.protocol import HELLO


class Client:
    """One lock for all that calls share: numbers, epochs, open sockets."""

    def __init__(self, context: Context, policy: RetryPolicy | None = None) -> None:
        self._context = context
        self._policy = policy or RetryPolicy()
        self._me = context.rng.getrandbits(63)
        self._lock = threading.Condition()
        self._numbers: dict[str, int] = {}
        self._open_calls: dict[str, set[int]] = {}
        self._epochs: dict[str, int] = {}
        self._sockets: set[socket.socket] = set()
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
            seq = self._number(server)
            mine = self._open_calls.setdefault(server, set())
            if at_most_once:
                mine.add(seq)
            ack = min(mine) - 1 if at_most_once else 0
        request = _Request(self, server, method, dict(args or {}), payload, seq, ack, at_most_once)
        try:
            return request.run(policy or self._policy)
        finally:
            with self._lock:
                mine.discard(seq)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._lock.notify_all()
            for sock in self._sockets:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)

    def _number(self, server: str) -> int:
        self._numbers[server] = self._numbers.get(server, 0) + 1
        return self._numbers[server]


class _Request:
    def __init__(
        self,
        client: Client,
        server: str,
        method: str,
        args: dict[str, Any],
        payload: Buffer,
        seq: int,
        ack: int,
        at_most_once: bool,
    ) -> None:
        self.client, self.server, self.payload = client, server, payload
        self.header: dict[str, Any] = {
            "epoch": client._epochs.get(server, 0) if at_most_once else None,
            "method": method,
            "xid": [client._me, seq],
            "args": args,
            "ack": ack,
        }
        self.transmissions = 0
        encode(self.header, payload)

    def run(self, policy: RetryPolicy) -> Reply:
        client, clock = self.client, self.client._context.clock
        last: Exception = ConnectionAbortedError("this client is closed")
        for seconds in policy.timeouts(client._context.rng):
            until = clock.now() + seconds
            try:
                return self.attempt(until)
            except DeadlinePassed as problem:
                last = problem
            except (OSError, LookupError, errors.MalformedFrame) as problem:
                last = problem
                with client._lock:
                    if clock.wait_for(client._lock, lambda: client._closed, until - clock.now()):
                        break
        story = f"{self.header['method']} at {self.server}: {last!r}"
        if self.transmissions == 0:
            raise errors.Unreachable(story) from last
        if isinstance(last, DeadlinePassed) and not client._closed:
            raise errors.CallTimeout(story) from last
        raise errors.ConnectionLost(story) from last

    def attempt(self, until: float) -> Reply:
        client, clock = self.client, self.client._context.clock
        if client._closed:
            raise ConnectionAbortedError("this client is closed")
        sock = client._context.network.connect(self.server, max(until - clock.now(), 0.0))
        with client._lock:
            client._sockets.add(sock)
            closed = client._closed
        stream = FrameStream(sock, clock)
        try:
            if closed:
                raise ConnectionAbortedError("this client is closed")
            while True:
                if self.header["epoch"] is not None and self.transmissions == 0:
                    self.header["epoch"] = self.epoch(stream, until)
                stream.send(encode(self.header, self.payload), until)
                self.transmissions += 1
                outcome = self.outcome(stream, self.header["xid"], until)
                if isinstance(outcome, errors.SessionLost):
                    with client._lock:
                        if client._epochs.get(self.server) == self.header["epoch"]:
                            del client._epochs[self.server]
                    if self.transmissions == 1:
                        self.transmissions = 0
                        continue
                if isinstance(outcome, errors.RemoteError):
                    raise outcome
                return outcome
        finally:
            with client._lock:
                client._sockets.discard(sock)
            stream.close()

    def epoch(self, stream: FrameStream, until: float) -> int:
        client = self.client
        with client._lock:
            known = client._epochs.get(self.server)
            xid = [client._me, client._number(self.server)]
        if known is not None:
            return known
        stream.send(encode({"method": HELLO, "args": {}, "xid": xid, "ack": 0, "epoch": None}), until)
        outcome = self.outcome(stream, xid, until)
        if isinstance(outcome, errors.RemoteError):
            raise outcome
        with client._lock:
            client._epochs[self.server] = outcome.value["epoch"]
        return outcome.value["epoch"]

    def outcome(self, stream: FrameStream, xid: list[int], until: float) -> Reply | errors.RemoteError:
        while True:
            frame = stream.receive(until)
            if frame is None:
                raise ConnectionResetError("hung up")
            if frame.header.get("xid") == xid:
                return _outcome(frame)


def _outcome(frame: Frame) -> Reply | errors.RemoteError:
    match frame.header:
        case {"error": error}:
            return errors.RemoteError.from_wire(error)
        case {"result": result}:
            return Reply(result, frame.payload)
        case _:
            raise errors.MalformedFrame("neither result nor error")

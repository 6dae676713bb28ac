"""A spare connection to each server for whoever comes next; more are made, and closed again, when calls meet."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from labkit import Context
from labkit.errors import (
    CallFailed,
    CallTimeout,
    ConnectionLost,
    MalformedFrame,
    RemoteError,
    SessionLost,
    Unreachable,
)
from labkit.protocol import HELLO
from rpc.retry import RetryPolicy
from rpc.stream import DeadlinePassed, FrameStream
from rpc.wire import Buffer, Reply, decode_outcome, encode


class _Server:
    def __init__(self) -> None:
        self.spare: FrameStream | None = None
        self.epoch: int | None = None
        self.seq = 0
        self.open: list[int] = []


class Client:
    def __init__(self, context: Context, policy: RetryPolicy = RetryPolicy()) -> None:  # noqa: B008
        self._context = context
        self._policy = policy
        self._name = context.rng.getrandbits(63)
        self._all = threading.Condition()
        self._servers: dict[str, _Server] = {}
        self._streams: set[FrameStream] = set()
        self._closed = False

    def close(self) -> None:
        with self._all:
            self._closed = True
            self._all.notify_all()
            for stream in self._streams:
                stream.shut()
            for server in self._servers.values():
                if server.spare is not None:
                    self._forget(server.spare)
                    server.spare = None

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
        with self._all:
            there = self._servers.setdefault(server, _Server())
            there.seq += 1
            seq = there.seq
            if at_most_once:
                there.open.append(seq)
            header = {
                "ack": there.open[0] - 1 if at_most_once else 0,
                "args": dict(args or {}),
                "epoch": 0 if at_most_once else None,
                "method": method,
                "xid": [self._name, seq],
            }
        try:
            encode(header, payload)
            return self._attempts(server, there, header, payload, policy or self._policy)
        finally:
            if at_most_once:
                with self._all:
                    there.open.remove(seq)

    def _attempts(
        self, name: str, there: _Server, header: dict[str, Any], payload: Buffer, policy: RetryPolicy
    ) -> Reply:
        clock, sent = self._context.clock, 0
        failure: type[CallFailed] = ConnectionLost
        for seconds in policy.timeouts(self._context.rng):
            until = clock.now() + seconds
            stream: FrameStream | None = None
            try:
                stream = self._stream(name, there, until)
                while True:
                    if sent == 0 and header["epoch"] is not None:
                        header["epoch"] = self._epoch(there, stream, until)
                    stream.send(encode(header, payload), until)
                    sent += 1
                    outcome = self._outcome(stream, header["xid"], until)
                    if not isinstance(outcome, SessionLost):
                        break
                    with self._all:
                        if there.epoch == header["epoch"]:
                            there.epoch = None
                    if sent > 1:
                        break
                    sent = 0  # refused the only time it was sent: it has still to be sent for the first time
            except DeadlinePassed:
                failure = CallTimeout
                self._forget(stream)  # the answer may yet come there
            except (OSError, LookupError, MalformedFrame):
                failure = ConnectionLost
                self._forget(stream)
                with self._all:
                    clock.wait_for(self._all, lambda: self._closed, until - clock.now())
            else:
                with self._all:
                    if there.spare is None and not self._closed:
                        there.spare, stream = stream, None
                self._forget(stream)
                if isinstance(outcome, RemoteError):
                    raise outcome
                return outcome
            if self._closed:
                break
        kind = failure if sent else Unreachable
        raise kind(f"{header['method']} of {name}")

    def _stream(self, name: str, there: _Server, until: float) -> FrameStream:
        with self._all:
            if self._closed:
                raise ConnectionAbortedError
            stream, there.spare = there.spare, None
        clock = self._context.clock
        if stream is not None:
            if not clock.wait_readable(stream.sock, 0):
                return stream
            self._forget(stream)  # the server has ended it, or says something nobody asked for
        stream = FrameStream(self._context.network.connect(name, max(0, until - clock.now())), clock)
        with self._all:
            self._streams.add(stream)
            if self._closed:
                stream.shut()
        return stream

    def _forget(self, stream: FrameStream | None) -> None:
        if stream is not None:
            with self._all:
                self._streams.discard(stream)
            stream.close()

    def _epoch(self, there: _Server, stream: FrameStream, until: float) -> int:
        with self._all:
            if there.epoch is not None:
                return there.epoch
            there.seq += 1
            xid = [self._name, there.seq]
        stream.send(encode({"ack": 0, "args": {}, "epoch": None, "method": HELLO, "xid": xid}), until)
        outcome = self._outcome(stream, xid, until)
        if isinstance(outcome, RemoteError):
            raise outcome
        with self._all:
            there.epoch = outcome.value["epoch"]
            return outcome.value["epoch"]

    def _outcome(self, stream: FrameStream, xid: list[int], until: float) -> Reply | RemoteError:
        while (frame := stream.receive(until)) is not None:
            if frame.header["xid"] == xid:
                return decode_outcome(frame)
        raise ConnectionResetError

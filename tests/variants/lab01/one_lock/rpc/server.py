"""A thread for each connection, and one condition under which everything is looked at and changed.

The calls of a client stand in slots, as many as were ever in use at once: seq in a slot means that call, and a slot
whose call is acknowledged is used again.
"""

from __future__ import annotations

import contextlib
import inspect
import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from labkit import Context, errors
from labkit.protocol import HELLO
from rpc.stream import FrameStream
from rpc.wire import Frame, Reply, encode_outcome

Handler = Callable[..., Any]
MANY = 1024
AN_HOUR = 3600.0


class _Slot:
    def __init__(self) -> None:
        self.seq = 0
        self.reply: bytes | None = None  # None: it is running


class _Session:
    def __init__(self) -> None:
        self.last_heard = 0.0
        self.highest_ack = 0
        self.slots: list[_Slot] = []

    def waits(self) -> bool:
        return any(slot.reply is None for slot in self.slots)

    def acknowledge(self, ack: int) -> None:
        self.highest_ack = max(self.highest_ack, ack)

    def slot_of(self, seq: int) -> _Slot | None:
        return next((slot for slot in self.slots if slot.seq == seq), None)

    def take_slot(self, seq: int) -> _Slot:
        for slot in self.slots:
            if slot.seq <= self.highest_ack and slot.reply is not None:
                break
        else:
            slot = _Slot()
            self.slots.append(slot)
        slot.seq, slot.reply = seq, None
        return slot


class Server:
    def __init__(self, context: Context, handlers: Mapping[str, Handler]) -> None:
        self._context = context
        self._handlers = {**handlers}
        self._epoch = context.rng.getrandbits(63)
        self._all = threading.Condition()
        self._sessions: dict[int, _Session] = {}
        self._streams: set[FrameStream] = set()
        self._threads: set[threading.Thread] = set()
        self._stopped = False
        self._door: socket.socket | None = None

    def start(self) -> None:
        with self._all:
            self._door = self._context.network.listen()
            self._thread(self._welcome, self._door)

    def stop(self) -> None:
        with self._all:
            self._stopped = True
            self._all.notify_all()
            if self._door is not None:
                with contextlib.suppress(OSError):
                    self._door.shutdown(socket.SHUT_RDWR)
            for stream in self._streams:
                stream.shut()
            until = time.monotonic() + 3.0
            me = threading.current_thread()
            while self._threads - {me} and time.monotonic() < until:
                self._all.wait(0.1)

    def _thread(self, body: Callable[[Any], None], what: Any) -> None:
        def run() -> None:
            try:
                body(what)
            finally:
                with self._all:
                    self._threads.discard(threading.current_thread())
                    self._all.notify_all()

        thread = threading.Thread(target=run, daemon=True)
        self._threads.add(thread)
        thread.start()

    def _welcome(self, door: socket.socket) -> None:
        with door:
            while not self._stopped:
                try:
                    sock, _ = door.accept()
                except OSError:
                    time.sleep(0 if self._stopped else 0.01)
                    continue
                with self._all:
                    if self._stopped:
                        sock.close()
                    else:
                        stream = FrameStream(sock, self._context.clock)
                        self._streams.add(stream)
                        self._thread(self._entertain, stream)

    def _entertain(self, stream: FrameStream) -> None:
        try:
            while (frame := stream.receive()) is not None:
                reply = self._reply(frame)
                if reply is None:
                    break
                stream.send([reply])
        except (OSError, errors.MalformedFrame):
            pass
        finally:
            with self._all:
                self._streams.discard(stream)
            stream.close()

    def _reply(self, frame: Frame) -> bytes | None:
        try:
            method, args, (client, seq), ack, epoch = (
                frame.header[name] for name in ("method", "args", "xid", "ack", "epoch")
            )
        except (KeyError, TypeError, ValueError) as error:
            raise errors.MalformedFrame("something is missing") from error
        numbers = [client, seq, ack] if epoch is None else [client, seq, ack, epoch]
        if type(method) is not str or type(args) is not dict or {type(number) for number in numbers} != {int}:
            raise errors.MalformedFrame("something is of another kind")
        xid = [client, seq]
        if method == HELLO:
            return encode_outcome(xid, Reply({"epoch": self._epoch}))
        if epoch is None:
            return self._run(method, args, xid, frame)
        if epoch != self._epoch:
            return encode_outcome(xid, errors.SessionLost("not this time"))
        with self._all:
            session = self._session(client)
            session.acknowledge(ack)
            if seq <= session.highest_ack:
                return encode_outcome(xid, errors.Forgotten("not any more"))
            if (slot := session.slot_of(seq)) is not None:
                # Who waits here is told by everybody who finishes anything, and looks at the slot again.
                while slot.seq == seq and slot.reply is None and not self._stopped:
                    self._all.wait()
                if slot.seq != seq:
                    return encode_outcome(xid, errors.Forgotten("not any more"))
                return slot.reply
            slot = session.take_slot(seq)
        reply = self._run(method, args, xid, frame)
        with self._all:
            slot.reply = reply
            self._all.notify_all()
        return reply

    def _session(self, client: int) -> _Session:
        now = self._context.clock.now()
        if client not in self._sessions and len(self._sessions) >= MANY:
            self._sessions = {
                name: session
                for name, session in self._sessions.items()
                if session.waits() or now - session.last_heard <= AN_HOUR
            }
        session = self._sessions.setdefault(client, _Session())
        session.last_heard = now
        return session

    def _run(self, method: str, args: dict[str, Any], xid: list[int], frame: Frame) -> bytes:
        if frame.payload:
            args["payload"] = bytes(frame.payload)
        try:
            return encode_outcome(xid, self._result(method, args))
        except (errors.SessionLost, errors.Forgotten, errors.UnknownMethod) as error:
            return encode_outcome(xid, errors.HandlerFailed(str(error)))
        except errors.RemoteError as error:
            return encode_outcome(xid, error)
        except Exception as error:
            return encode_outcome(xid, errors.HandlerFailed(type(error).__name__))

    def _result(self, method: str, args: dict[str, Any]) -> Reply | errors.RemoteError:
        handler = self._handlers.get(method)
        if handler is None:
            return errors.UnknownMethod("what?")
        try:
            inspect.signature(handler).bind(**args)
        except TypeError:
            return errors.BadArguments("how?")
        value = handler(**args)
        return value if isinstance(value, Reply) else Reply(value)

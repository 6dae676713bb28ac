"""Coroutines: one for each connection, in a loop of their own thread."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import queue
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from rpc.messages import Reply
from rpc.wire import LENGTHS, Frame, encode, header_of, lengths

from labkit import Context, errors
from labkit.protocol import HELLO

Handler = Callable[..., Any]
Answer = bytes
ENOUGH = 1024  # clients; of more, those are forgotten that said nothing in the last hour
HOUR = 3600.0


class _Worker:
    """Runs the handlers of one connection, in a thread that is there once it is needed."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self.thread: threading.Thread | None = None

    def give(self, job: Callable[[], None] | None) -> None:
        if self.thread is None:
            if job is None:
                return
            self.thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            self.thread.start()
        self._jobs.put(job)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()


class Server:
    def __init__(self, context: Context, handlers: Mapping[str, Handler]) -> None:
        self._context = context
        self._handlers = handlers
        self._life = context.rng.getrandbits(63)
        self._calls: dict[int, dict[int, asyncio.Future[Answer]]] = {}
        self._acks: dict[int, int] = {}
        self._heard: dict[int, float] = {}  # in this order
        self._connections: set[asyncio.Task[None]] = set()
        self._workers: set[_Worker] = set()
        self._thread: threading.Thread | None = None
        self._ready = threading.Event()

    def start(self) -> None:
        self._listener = self._context.network.listen()
        name = f"{self._context.name}-coroutines"
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), name=name, daemon=True)
        self._thread.start()
        self._ready.wait()

    def stop(self) -> None:
        if self._thread is None:
            return
        threads = [worker.thread for worker in tuple(self._workers) if worker.thread is not None]
        with contextlib.suppress(RuntimeError):  # it has ended
            self._loop.call_soon_threadsafe(self._end.set)
        until = time.monotonic() + 2.0
        for thread in (self._thread, *threads):
            if thread is not threading.current_thread():
                thread.join(max(0.0, until - time.monotonic()))

    async def _main(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._connection, sock=self._listener, backlog=1024)
        self._ready.set()
        await self._end.wait()
        server.close()
        for task in tuple(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        worker = _Worker(f"{self._context.name}-handlers")
        self._connections.add(task)
        self._workers.add(worker)
        try:
            while True:
                header, payload = lengths(await reader.readexactly(LENGTHS.size))
                text = header_of(await reader.readexactly(header))
                frame = Frame(text, await reader.readexactly(payload) if payload else b"")
                writer.write(await self._answer(frame, worker))
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError, errors.MalformedFrame, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()
            worker.give(None)
            self._workers.discard(worker)
            self._connections.discard(task)

    async def _answer(self, frame: Frame, worker: _Worker) -> Answer:
        match frame.header:
            case {
                "method": str(),
                "args": dict(),
                "xid": [int(client), int(seq)],
                "ack": int(ack),
                "epoch": epoch,
            }:
                if isinstance(epoch, bool) or not isinstance(epoch, int | None):
                    raise errors.MalformedFrame("a strange epoch")
            case _:
                raise errors.MalformedFrame("not a request")
        if frame.header["method"] == HELLO:
            return _bytes(frame, Reply({"epoch": self._life}))
        if epoch is None:
            return await self._begin(frame, worker)
        if epoch != self._life:
            return _bytes(frame, errors.SessionLost("I know nothing of that life"))
        self._hear(client)
        calls = self._calls.setdefault(client, {})
        if ack > self._acks.get(client, 0):
            self._acks[client] = ack
            for old in [number for number in calls if number <= ack]:
                del calls[old]
        if seq <= self._acks.get(client, 0):
            return _bytes(frame, errors.Forgotten("you had your answer"))
        if seq not in calls:
            calls[seq] = self._begin(frame, worker)
        return await asyncio.shield(calls[seq])

    def _hear(self, client: int) -> None:
        now = self._context.clock.now()
        self._heard.pop(client, None)
        self._heard[client] = now
        if len(self._heard) > ENOUGH:
            for silent in [one for one, when in self._heard.items() if now - when > HOUR]:
                if all(call.done() for call in self._calls[silent].values()):
                    del self._heard[silent], self._calls[silent]
                    self._acks.pop(silent, None)

    def _begin(self, frame: Frame, worker: _Worker) -> asyncio.Future[Answer]:
        future: asyncio.Future[Answer] = self._loop.create_future()

        def finish(answer: Answer) -> None:
            if not future.done():
                future.set_result(answer)

        def job() -> None:
            answer = self._run(frame)
            with contextlib.suppress(RuntimeError):  # the server has stopped meanwhile
                self._loop.call_soon_threadsafe(finish, answer)

        worker.give(job)
        return future

    def _run(self, frame: Frame) -> Answer:
        handler = self._handlers.get(frame.header["method"])
        if handler is None:
            return _bytes(frame, errors.UnknownMethod(frame.header["method"]))
        args: dict[str, Any] = frame.header["args"]
        if len(frame.payload):
            args = {"payload": frame.payload, **args}
        try:
            inspect.signature(handler).bind(**args)
        except TypeError:
            return _bytes(frame, errors.BadArguments(f"not {', '.join(args) or 'without any'}"))
        try:
            value = handler(**args)
            return _bytes(frame, value if isinstance(value, Reply) else Reply(value))
        except (errors.SessionLost, errors.Forgotten, errors.UnknownMethod) as error:
            return _bytes(frame, errors.HandlerFailed(f"inside: {error}"))
        except errors.RemoteError as error:
            return _bytes(frame, error)
        except Exception as error:
            return _bytes(frame, errors.HandlerFailed(repr(error)))


def _bytes(frame: Frame, outcome: Reply | errors.RemoteError) -> Answer:
    xid = frame.header["xid"]
    if isinstance(outcome, Reply):
        return b"".join(encode({"xid": xid, "result": outcome.value}, outcome.payload))
    return b"".join(encode({"xid": xid, "error": outcome.to_wire()}))

"""Lab 1 part A's node: the student's codec and streams, before there are any calls.

It echoes frames to whoever connects, and takes bytes apart on command.
"""

from __future__ import annotations

import importlib
import itertools
import socket
import threading
import tracemalloc
from typing import Any

from harness.drivers.odd_values import odd_value
from harness.drivers.program import Commands, Packages
from labkit import Context
from labkit.errors import MalformedFrame


def start(context: Context, packages: Packages) -> Commands:
    name = packages["rpc"].__name__
    frames = _Frames(context, *(importlib.import_module(f"{name}.{module}") for module in ("wire", "stream")))
    frames.listen()
    return {"encode": frames.encode, "encode_odd": frames.encode_odd, "feed": frames.feed}


class _Frames:
    def __init__(self, context: Context, wire: Any, stream: Any) -> None:
        self._context = context
        self._wire = wire
        self._stream = stream

    def listen(self) -> None:
        listener = self._context.network.listen()
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def encode(self, header: dict[str, Any], payload: bytes = b"", zeros: int = 0) -> bytes:
        """The frame's bytes; `zeros`: a payload of that many instead."""
        return self._joined(header, bytes(zeros) if zeros else payload)

    def encode_odd(self, what: str) -> int:
        """The length of a frame with a value that no frame may have, if one is made at all."""
        return len(self._joined({"value": odd_value(what)}))

    def _joined(self, header: dict[str, Any], payload: bytes = b"") -> bytes:
        parts = self._wire.encode(header, payload)
        if isinstance(parts, bytes | bytearray | memoryview | str) or not hasattr(parts, "__iter__"):
            raise TypeError(f"encode() returned {parts!r:.60}, not a list of buffers")
        return b"".join(map(memoryview, parts))

    def feed(self, data: bytes, sizes: list[int], measure: bool = False) -> dict[str, Any]:
        """Give a FrameAssembler `data` in pieces of at most these sizes, the last one again and again.

        "frames" it gave, the "error" that ended it, how many bytes it was "fed", and its "peak" of memory if measured.
        """
        report: dict[str, Any] = {"frames": [], "error": "", "fed": 0, "peak": 0}
        if measure:
            tracemalloc.start()
        try:
            _assemble(self._wire.FrameAssembler(), data, sizes, report)
        except MalformedFrame as problem:
            report["error"] = str(problem) or "malformed"
        if measure:
            report["peak"] = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        return report

    def _accept(self, listener: socket.socket) -> None:
        while True:
            sock, _ = listener.accept()
            threading.Thread(target=self._echo, args=(sock,), daemon=True).start()

    def _echo(self, sock: socket.socket) -> None:
        """Notes how the stream ended: None between two frames, or by which error."""
        with sock:
            try:
                stream = self._stream.FrameStream(sock, self._context.clock)
                while (frame := stream.receive()) is not None:
                    stream.send(self._wire.encode(*frame))
                self._context.annotate("stream ended", error=None)
            except NotImplementedError as error:
                # As if it had ended this thread; but told before the socket is closed.
                threading.excepthook(
                    threading.ExceptHookArgs((type(error), error, error.__traceback__, None))
                )
            except Exception as error:  # the student's, whatever it is: the test wants to know its name
                self._context.annotate("stream ended", error=f"{type(error).__name__}: {error}")


def _assemble(assembler: Any, data: bytes, sizes: list[int], report: dict[str, Any]) -> None:
    for turn in itertools.count():
        while (frame := assembler.take()) is not None:
            header, payload = frame
            report["frames"].append({"header": header, "payload": bytes(payload)})
        start = report["fed"]
        if start == len(data):
            return
        room = assembler.room()
        if not len(room):
            raise AssertionError("room() is empty though take() gave None")
        count = min(len(room), sizes[min(turn, len(sizes) - 1)], len(data) - start)
        room[:count] = data[start : start + count]
        del room  # it is good for one receive
        report["fed"] += count
        assembler.filled(count)

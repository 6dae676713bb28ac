"""Lab 1's node: hosts the student's rpc.Server with plain handlers, and the student's rpc.Client.

The handlers count how often they really ran, which is what at-most-once is about. A node may be server, client or
both; its client is made at the first call.
"""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

from harness.drivers.odd_values import odd_value
from harness.drivers.program import Commands, Packages
from labkit import Context, errors


def start(context: Context, packages: Packages) -> Commands:
    return _RpcNode(context, packages["rpc"]).commands()


class _RpcNode:
    def __init__(self, context: Context, rpc: Any) -> None:
        self._context = context
        self._rpc = rpc
        self._ran: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._words: list[str] = []
        self._gates: dict[str, threading.Event] = {}
        self._client: Any = None
        self._server: Any = None
        self._ours = set(threading.enumerate())
        if context.config.get("serve"):
            self._server = rpc.Server(context, self._handlers())
            self._server.start()

    def commands(self) -> Commands:
        return {
            "call": self.call,
            "attempt": self.attempt,
            "attempt_odd": self.attempt_odd,
            "calls": self.calls,
            "ran": lambda: dict(self._ran),
            "open_gate": self.open_gate,
            "new_client": self.new_client,
            "stop": self.stop,
            "threads": self.threads,
        }

    def _handlers(self) -> dict[str, Any]:
        def echo(value: Any = None, payload: Any = b"") -> Any:
            return self._rpc.Reply(value, payload)

        def add(key: str = "x") -> int:
            """Not idempotent: answers how often it ran."""
            return self._count(key)

        def wait_at_gate(gate: str, key: str = "x") -> int:
            """Runs `add` and answers once the harness opens the gate."""
            ran = self._count(key)
            self._gate(gate).wait()
            return ran

        def refuse() -> None:
            raise errors.NoSuchFile("/nowhere", data={"path": "/nowhere"})

        def crash() -> None:
            self._count("crash")
            raise ValueError("a bug in the handler")

        def stumble() -> None:
            """A bug that looks like wrong arguments from far away."""
            self._count("stumble")
            len(5)  # type: ignore[arg-type]

        def answer_oddly(what: str) -> Any:
            """Answers with a value that cannot be sent."""
            return odd_value(what)

        def fill(number: int, size: int) -> list[Any]:
            """A long answer."""
            self._count("fill")
            return [number, "x" * size]

        def note_down(word: str) -> list[str]:
            """Answers with all words so far: the very list that later calls go on with."""
            self._words.append(word)
            return self._words

        def relay(server: str, method: str, args: dict[str, Any]) -> Any:
            """Calls another server with this node's own client, while its caller waits."""
            return self._own_client().call(server, method, args).value

        handlers = (echo, add, wait_at_gate, refuse, crash, stumble, answer_oddly, fill, note_down, relay)
        return {handler.__name__: handler for handler in handlers}

    def _count(self, key: str) -> int:
        with self._lock:
            self._ran[key] += 1
            return self._ran[key]

    def _gate(self, name: str) -> threading.Event:
        with self._lock:
            return self._gates.setdefault(name, threading.Event())

    def open_gate(self, name: str) -> None:
        self._gate(name).set()

    def _own_client(self) -> Any:
        with self._lock:
            if self._client is None:
                self._client = self._rpc.Client(self._context)
            return self._client

    def new_client(self) -> None:
        """Forget the client: the next call makes another one in the same program."""
        self._client = None

    def call(
        self,
        server: str,
        method: str,
        args: dict[str, Any],
        payload: bytes = b"",
        at_most_once: bool = True,
        policy: dict[str, Any] | None = None,
        zeros: int = 0,
    ) -> dict[str, Any]:
        """`zeros`: a payload of that many instead."""
        payload = bytes(zeros) if zeros else payload
        client = self._own_client()
        chosen = self._rpc.RetryPolicy(**policy) if policy else None
        reply = client.call(server, method, args, payload, at_most_once=at_most_once, policy=chosen)
        if not (hasattr(reply, "value") and hasattr(reply, "payload")):
            raise TypeError(f"Client.call() returned {reply!r:.100}, not a Reply")
        return {"value": reply.value, "payload": bytes(reply.payload)}

    def attempt(self, **call: Any) -> dict[str, Any]:
        """The same, but an error of the kit's comes back as a value: {"error": type, "code", "definite", "data"}."""
        try:
            return self.call(**call)
        except errors.LabError as error:
            return {
                "error": type(error).__name__,
                "code": getattr(error, "code", ""),
                "definite": error.definite,
                "data": getattr(error, "data", {}),
                "message": str(error),
            }

    def calls(self, server: str, method: str, calls: int) -> int:
        """So many calls one after the other; how many ended in an error."""
        return sum("error" in self.attempt(server=server, method=method, args={}) for _ in range(calls))

    def attempt_odd(self, what: str, **call: Any) -> dict[str, Any]:
        """A call with an argument that cannot be sent."""
        return self.attempt(args={"value": odd_value(what)}, **call)

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop()
        if self._client is not None:
            self._client.close()

    def threads(self) -> list[str]:
        """Names of the threads the student's code has started and not ended."""
        mine = threading.current_thread()
        commands = {mine.name, "call", "attempt", "stop", "clock wake-up"}
        return [
            one.name for one in threading.enumerate() if one not in self._ours and one.name not in commands
        ]

"""The node of lab 1's measurements: a server whose handlers take time, and a client that asks through ask_all.

Handlers take real time, since that is what is measured here; they wait rather than compute.
"""

from __future__ import annotations

import importlib
import random
import threading
import time
from typing import Any

from harness.drivers.program import Commands, Packages
from labkit import Context


def start(context: Context, packages: Packages) -> Commands:
    return _Worker(context, packages["rpc"]).commands()


class _Worker:
    def __init__(self, context: Context, rpc: Any) -> None:
        self._fan_out: Any = importlib.import_module(f"{rpc.__name__}.fan_out")
        self._lock = threading.Lock()
        self._rng = random.Random(context.config.get("seed", 0))
        self._client: Any = rpc.Client(context)
        rpc.Server(context, {"answer": self.answer, "work": self.work}).start()

    def commands(self) -> Commands:
        return {"rounds": self.rounds, "spread": self.spread}

    def answer(self, usual: float, slow: float, share: float) -> None:
        """Takes `usual` seconds, and for this share of the calls `slow`."""
        time.sleep(slow if self._rng.random() < share else usual)

    def work(self, seconds: float, locked: float) -> None:
        """Takes so long, and for this part of it holds the one lock of this server."""
        time.sleep(seconds * (1 - locked))
        if locked:
            with self._lock:
                time.sleep(seconds * locked)

    def rounds(self, servers: list[str], rounds: int, args: dict[str, Any]) -> list[float]:
        """Asks all servers at once, again and again; real seconds until the last had answered, each time."""
        self._ask(servers, "answer", args, len(servers))  # connections, and what else the first call needs
        return [self._ask(servers, "answer", args, len(servers)) for _ in range(rounds)]

    def spread(self, server: str, calls: int, at_once: int, args: dict[str, Any]) -> float:
        """Real seconds for so many calls of `work`, so many at once."""
        self._ask([server] * at_once, "work", {**args, "seconds": 0.0}, at_once)
        return self._ask([server] * calls, "work", args, at_once)

    def _ask(self, servers: list[str], method: str, args: dict[str, Any], at_once: int) -> float:
        questions = [self._fan_out.Question(server, method, args) for server in servers]

        def fold(latest: float, question: Any, outcome: Any) -> float:
            if isinstance(outcome, Exception):
                raise outcome
            return time.perf_counter()

        begun = time.perf_counter()
        return self._fan_out.ask_all(self._client, questions, at_once, fold, begun) - begun

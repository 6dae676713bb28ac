"""Lab 1 part D's node: the student's BoundedQueue, command by command, and the student's ask_all.

Every command runs in a thread of its own, so a command that waits in the queue is a thread that waits there.
"""

from __future__ import annotations

import importlib
import sys
import threading
import time
from collections import Counter
from typing import Any

from harness.drivers.program import Commands, Packages
from labkit import Context

MEET = 0.3  # real seconds in which two folds that may run at the same time have met
STUCK = 30.0  # real seconds after which threads that have not ended never will, on a slow machine too


def start(context: Context, packages: Packages) -> Commands:
    return _Threads(context, packages["rpc"]).commands()


class _Threads:
    def __init__(self, context: Context, rpc: Any) -> None:
        self._context = context
        self._rpc = rpc
        self._queue: Any = None
        self._asked = 0  # questions that ask_all has drawn

    def commands(self) -> Commands:
        return {
            "new_queue": self.new_queue,
            "put": self.put,
            "get": self.get,
            "close": self.close,
            "crowd": self.crowd,
            "ask_all": self.ask_all,
            "asked": lambda: self._asked,
            "count_all": self.count_all,
            "stumble": self.stumble,
        }

    # ---- the queue

    def new_queue(self, room: int) -> None:
        self._queue = self._module("bounded_queue").BoundedQueue(room)
        for part in getattr(self._queue, "__dict__", {}).values():
            if isinstance(part, threading.Condition):
                _wake_early(part)

    def put(self, item: Any) -> str:
        """ "put" or "closed"."""
        try:
            self._queue.put(item)
        except self._module("bounded_queue").Closed:
            return "closed"
        return "put"

    def get(self) -> Any:
        """The item, or "closed"."""
        try:
            return self._queue.get()
        except self._module("bounded_queue").Closed:
            return "closed"

    def close(self) -> None:
        self._queue.close()

    def crowd(self, producers: int, consumers: int, items: int, room: int) -> dict[str, Any]:
        """`items` from each producer through one queue: what was "lost", got "twice", who is "stuck", "errors"."""
        self.new_queue(room)
        got: list[int] = []  # list.append is one step in CPython
        errors: list[str] = []
        closing = threading.Event()

        def produce(first: int) -> None:
            for item in range(first, first + items):
                if self.put(item) != "put" and not closing.is_set():
                    raise AssertionError("put said that the open queue is closed")

        def consume() -> None:
            while (item := self.get()) != "closed":
                got.append(item)
            if not closing.is_set():
                raise AssertionError("get said that the open queue is closed")

        def run(body: Any, *args: Any) -> None:
            try:
                body(*args)
            except Exception as error:  # the student's
                errors.append(f"{type(error).__name__}: {error}")

        makers = [
            threading.Thread(target=run, args=(produce, n * items), daemon=True) for n in range(producers)
        ]
        takers = [threading.Thread(target=run, args=(consume,), daemon=True) for _ in range(consumers)]
        usual = sys.getswitchinterval()
        sys.setswitchinterval(1e-5)  # threads take turns five hundred times as often as usual
        try:
            for thread in (*takers, *makers):
                thread.start()
            stuck = _join(makers)
            closing.set()
            self.close()
            stuck += _join(takers) if not stuck else 0
        finally:
            sys.setswitchinterval(usual)
        counts = Counter(got)
        return {
            "lost": producers * items - len(counts),
            "twice": sum(1 for count in counts.values() if count > 1),
            "stuck": stuck,
            "errors": errors[:3],
        }

    # ---- ask_all

    def ask_all(self, questions: list[list[Any]], at_once: int) -> list[list[Any]]:
        """[server, method, args] each; for each outcome in turn [its question's number, its value or error's name]."""
        module = self._module("fan_out")
        self._asked = 0

        def drawn() -> Any:
            for number, (server, method, args) in enumerate(questions):
                self._asked = number + 1
                yield module.Question(server, method, {**args})

        def fold(total: list[list[Any]], question: Any, outcome: Any) -> list[list[Any]]:
            number = questions.index([question.server, question.method, dict(question.args)])
            what = (
                type(outcome).__name__ if isinstance(outcome, Exception) else getattr(outcome, "value", None)
            )
            return [*total, [number, what]]

        total: list[list[Any]] | None = module.ask_all(
            self._rpc.Client(self._context), drawn(), at_once, fold, []
        )
        return _folded(total, list)

    def count_all(self, server: str, calls: int) -> dict[str, Any]:
        """Counts `calls` outcomes with a fold that lingers between reading the count and writing it back.

        The first fold waits for another to come in. If that may happen, both have read the same count.
        """
        module = self._module("fan_out")
        inside = 0
        lock = threading.Lock()
        met = threading.Event()
        most = 0

        def fold(count: int, question: Any, outcome: Any) -> int:
            nonlocal inside, most
            with lock:
                inside += 1
                most = max(most, inside)
                if inside > 1:
                    met.set()
            met.wait(MEET)
            met.set()  # once is enough
            with lock:
                inside -= 1
            return count + 1

        questions = [module.Question(server, "echo", {"value": number}) for number in range(calls)]
        total = module.ask_all(self._rpc.Client(self._context), questions, calls, fold, 0)
        return {"total": _folded(total, int), "most": most}

    def stumble(self, server: str, where: str, calls: int, at_once: int) -> str:
        """ask_all, when the "fold" raises, drawing the "question" does, or an "argument" cannot be sent, at the third."""
        module = self._module("fan_out")

        def drawn() -> Any:
            for number in range(calls):
                if where == "question" and number == 2:
                    raise _Stumbled
                value = {1, 2} if where == "argument" and number == 2 else number
                yield module.Question(server, "echo", {"value": value})

        def fold(count: int, question: Any, outcome: Any) -> int:
            if where == "fold" and count == 2:
                raise _Stumbled
            return count + 1

        try:
            total = module.ask_all(self._rpc.Client(self._context), drawn(), at_once, fold, 0)
        except _Stumbled:
            return "it came out"
        except (TypeError, ValueError) as error:
            return "it came out" if where == "argument" else repr(error)
        return f"ask_all returned {total!r:.100}"

    def _module(self, name: str) -> Any:
        return importlib.import_module(f"{self._rpc.__name__}.{name}")


class _Stumbled(Exception):
    """A bug in the program that asks."""


def _folded(total: Any, kind: type) -> Any:
    if type(total) is not kind:
        raise TypeError(f"ask_all() returned {total!r:.100}, not what the last fold had returned")
    return total


def _wake_early(condition: threading.Condition) -> None:
    """The first time a thread waits, it is woken for nothing: whoever does not look again goes wrong every time."""
    wait = condition.wait
    woken: set[int] = set()

    def early(timeout: float | None = None) -> bool:
        me = threading.get_ident()
        if me in woken:
            return wait(timeout)
        woken.add(me)
        wait(0)  # lets go of the lock, as every wait does
        return True

    condition.wait = early


def _join(threads: list[threading.Thread]) -> int:
    """How many have not ended in time."""
    give_up = time.monotonic() + STUCK
    for thread in threads:
        thread.join(max(0.0, give_up - time.monotonic()))
    return sum(thread.is_alive() for thread in threads)

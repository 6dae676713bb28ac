"""A thread for each question, as many at a time as allowed; the caller's own thread draws and folds."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from rpc.client import Client
from rpc.messages import Reply

from labkit.errors import LabError

Total = TypeVar("Total")


@dataclass(frozen=True)
class Question:
    server: str
    method: str
    args: Mapping[str, Any]


def ask_all(
    client: Client,
    questions: Iterable[Question],
    at_once: int,
    fold: Callable[[Total, Question, Reply | LabError], Total],
    start: Total,
) -> Total:
    ends: queue.SimpleQueue[tuple[Question, Any]] = queue.SimpleQueue()
    threads: set[threading.Thread] = set()

    def ask(question: Question) -> None:
        try:
            outcome: Any = client.call(question.server, question.method, question.args)
        except BaseException as error:
            outcome = error
        ends.put((question, outcome))

    total, running = start, 0

    def one_more(total: Total) -> Total:
        question, outcome = ends.get()
        if isinstance(outcome, BaseException) and not isinstance(outcome, LabError):
            raise outcome
        return fold(total, question, outcome)

    try:
        for question in questions:
            if running == at_once:
                running -= 1
                total = one_more(total)
            thread = threading.Thread(target=ask, args=(question,), daemon=True)
            threads.add(thread)
            thread.start()
            running += 1
        while running:
            running -= 1
            total = one_more(total)
    finally:
        for thread in threads:
            thread.join()
    return total

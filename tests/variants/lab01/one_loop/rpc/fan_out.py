"""Each of the threads draws its next question itself, one at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

from rpc.client import Client
from rpc.messages import Reply

from labkit.errors import LabError

Total = TypeVar("Total")


class Question(NamedTuple):
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
    drawing, folding = threading.Lock(), threading.Lock()
    left = iter(questions)
    totals, failures = [start], []

    def work() -> None:
        try:
            while not failures:
                with drawing:
                    question = next(left, None)
                if question is None:
                    return
                try:
                    outcome: Reply | LabError = client.call(question.server, question.method, question.args)
                except LabError as error:
                    outcome = error
                with folding:
                    totals[0] = fold(totals[0], question, outcome)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(at_once)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return totals[0]

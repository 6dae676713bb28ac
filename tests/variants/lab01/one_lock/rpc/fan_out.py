"""A pool of threads; what is under way are futures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, NamedTuple, TypeVar

from labkit.errors import LabError
from rpc.client import Client
from rpc.wire import Reply

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
    under_way: dict[Future[Reply], Question] = {}
    total = start

    def collect(total: Total, left: int) -> Total:
        while len(under_way) > left:
            for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                question, error = under_way.pop(future), future.exception()
                if error is not None and not isinstance(error, LabError):
                    raise error
                total = fold(total, question, error if error is not None else future.result())
        return total

    with ThreadPoolExecutor(at_once) as pool:
        for question in questions:
            total = collect(total, at_once - 1)
            under_way[pool.submit(client.call, question.server, question.method, question.args)] = question
        return collect(total, 0)

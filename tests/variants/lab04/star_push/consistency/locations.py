"""One table of answers: question -> answer and when it was asked. The oldest goes when there are too many."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, NewType

Handle = NewType("Handle", int)
MOST = 1000


@dataclass(frozen=True)
class Chunk:
    handle: Handle
    version: int
    replicas: tuple[str, ...]


@dataclass(frozen=True)
class Lease:
    primary: str
    secondaries: tuple[str, ...]
    version: int


class Locations:
    def __init__(self, lifetime: float) -> None:
        self._lifetime = lifetime
        self._answers: OrderedDict[tuple[Any, ...], tuple[Any, float]] = OrderedDict()
        self._lock = threading.Lock()

    def _look(self, *question: Any, now: float) -> Any:
        with self._lock:
            answer, asked = self._answers.get(question, (None, 0.0))
            if answer is not None and now - asked >= self._lifetime:
                del self._answers[question]
                return None
            return answer

    def _keep(self, *question: Any, answer: Any, asked: float) -> None:
        with self._lock:
            self._answers[question] = answer, asked
            self._answers.move_to_end(question)
            while len(self._answers) > MOST:
                self._answers.popitem(last=False)

    def _drop(self, *beginning: Any) -> None:
        with self._lock:
            for question in [one for one in self._answers if one[: len(beginning)] == beginning]:
                del self._answers[question]

    def chunk(self, path: str, index: int, now: float) -> Chunk | None:
        return self._look("chunk", path, index, now=now)

    def remember_chunk(self, path: str, index: int, chunk: Chunk, asked: float) -> None:
        self._keep("chunk", path, index, answer=chunk, asked=asked)

    def forget_chunk(self, path: str, index: int) -> None:
        self._drop("chunk", path, index)

    def lease(self, handle: Handle, now: float) -> Lease | None:
        return self._look("lease", handle, now=now)

    def remember_lease(self, handle: Handle, lease: Lease, asked: float) -> None:
        self._keep("lease", handle, answer=lease, asked=asked)

    def forget_lease(self, handle: Handle) -> None:
        self._drop("lease", handle)

    def last_index(self, path: str, now: float) -> int | None:
        return self._look("last", path, now=now)

    def remember_last(self, path: str, index: int, asked: float) -> None:
        self._keep("last", path, answer=index, asked=asked)

    def forget_last(self, path: str) -> None:
        self._drop("last", path)

    def forget(self, path: str) -> None:
        self._drop("chunk", path)
        self._drop("last", path)

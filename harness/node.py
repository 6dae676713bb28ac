"""A node as the harness sees it, over all its lives: what it runs, its process, its disk, and why it ended."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.failures import BROKEN, NOT_IMPLEMENTED, LabFailure
from harness.patience import ORDINARY, Deadline
from harness.processes.linux import signal_name
from harness.processes.session import NodeProcess

MOST_ENDED = 100  # errors kept of a node whose threads go on dying, or that goes on logging them


@dataclass(frozen=True)
class Note:
    """Something a node said about itself through `annotate`."""

    time: float
    node: str
    what: str
    facts: Mapping[str, Any]


class CallRefused(LabFailure):
    """A command's call into the code under test raised."""

    def __init__(self, node: str, command: str, error: Mapping[str, Any]) -> None:
        self.error = error
        self.type = str(error.get("type"))
        self.code = str(error.get("code"))
        self.definite = bool(error.get("definite"))
        self.documented = bool(error.get("documented"))  # one of labkit's error tree, not a bug
        text = f"{command} on {node} raised {self.type}: {error.get('message')}"
        place = error.get("place")
        kind = "wrong" if self.documented else _kind(self.type)
        super().__init__(text + (f" ({place})" if place else ""), kind=kind)


def _kind(error_type: str) -> str:
    return NOT_IMPLEMENTED if error_type == "NotImplementedError" else BROKEN


@dataclass
class Node:
    """A node over its lives. `process` is the running one, or the last."""

    name: str
    program: str
    config: Mapping[str, Any]
    limits: Mapping[str, Any]
    slot: int
    directory: Path
    disks: int = 0
    lives: int = 0
    process: NodeProcess | None = None
    ready: threading.Event = field(default_factory=threading.Event)
    failure: dict[str, Any] | None = None
    ended_threads: deque[dict[str, Any]] = field(  # the latest errors that ended a thread
        default_factory=lambda: deque(maxlen=MOST_ENDED)
    )
    logged: deque[dict[str, Any]] = field(  # the latest errors that it caught and logged
        default_factory=lambda: deque(maxlen=MOST_ENDED)
    )
    expected_to_die: bool = False

    @property
    def disk(self) -> Path:
        return self.directory / f"disk{self.disks}"

    @property
    def log(self) -> Path:
        return self.directory / "output.txt"

    @property
    def alive(self) -> bool:
        return self.process is not None and not self.process.gone

    def death(self, when: str) -> LabFailure:
        """Why a node is gone, as the student should read it."""
        assert self.process is not None
        failure = self.failure
        if failure is not None:
            kind, message = failure.get("type"), failure.get("message")
            place = f" ({failure['place']})" if failure.get("place") else ""
            return LabFailure(
                f"{self.name} could not start: {kind}: {message}{place}",
                witness=str(failure.get("traceback", "")) if kind != "NotImplementedError" else None,
                kind=_kind(str(kind)),
            )
        if self.alive:  # its sockets close before it is gone
            Deadline(ORDINARY).wait(self.process.exited)
        how = "was killed by the harness" if self.expected_to_die else _exit_words(self.process.exit_code())
        return LabFailure(f"{self.name} {how} {when}", witness=self._tail(), kind=BROKEN)

    def _tail(self) -> str | None:
        try:
            text = self.log.read_bytes()[-1500:].decode("utf-8", "replace").strip()
        except OSError:
            return None
        return f"the last it printed:\n{text}" if text else None


def _exit_words(status: int) -> str:
    if status < 0:
        return f"died of {signal_name(-status)}"
    return f"ended by itself with exit code {status}"

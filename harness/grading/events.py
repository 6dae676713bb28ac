"""What a worker tells the grader while it runs tests, and as JSON that travels through a pipe.

Never as a pickle: a student's program runs under the same user, and whatever gets into the pipe shall be no more than a
message that makes no sense.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.grading.outcome import Outcome, Status
from harness.grading.score import Attempt


@dataclass(frozen=True)
class Collected:
    """The items it found, in the order in which they are taken: pytest's id -> (key of the test, seed).

    All workers find the same.
    """

    items: dict[str, tuple[str, int]]


@dataclass(frozen=True)
class Unreadable:
    """A file of graded tests that cannot be loaded."""

    path: Path
    why: str


@dataclass(frozen=True)
class Started:
    """An item begins."""

    item: str


@dataclass(frozen=True)
class Attempted:
    """An item has ended."""

    item: str
    attempt: Attempt


@dataclass(frozen=True)
class Covered:
    """An item has injected so many "faults", or struck so many protocol "points"."""

    what: str
    number: int


@dataclass(frozen=True)
class Fault:
    """pytest or a plugin has failed."""

    what: str


@dataclass(frozen=True)
class Ended:
    """The worker is done; `interrupted` names the signal when it was told to stop."""

    interrupted: str | None


Event = Collected | Unreadable | Started | Attempted | Covered | Fault | Ended

_KINDS: Mapping[str, Callable[..., Event]] = {
    kind.__name__: kind for kind in (Collected, Unreadable, Started, Attempted, Covered, Fault, Ended)
}


def to_bytes(event: Event) -> bytes:
    """The event as one message."""
    return json.dumps([type(event).__name__, asdict(event)], default=_plain).encode()


def from_bytes(message: bytes) -> Event:
    """The event of a message. ValueError when it is none."""
    try:
        name, fields = json.loads(message)
        if name == "Collected":
            fields["items"] = {item: (str(key), int(seed)) for item, (key, seed) in fields["items"].items()}
        elif name == "Unreadable":
            fields["path"] = Path(fields["path"])
        elif name == "Attempted":
            fields["attempt"] = _attempt(fields["attempt"])
        return _KINDS[name](**fields)
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"no event: {error!r}") from error


def _plain(value: Any) -> str:
    return value.value if isinstance(value, Status) else str(value)


def _attempt(fields: dict[str, Any]) -> Attempt:
    outcome = fields.pop("outcome")
    if outcome is not None:
        outcome = Outcome(status=Status(outcome.pop("status")), **outcome)
    return Attempt(outcome=outcome, **fields)

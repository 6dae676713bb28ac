"""Operations, each an invocation and its completion, and what their client may believe of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from harness.history.events import DataId, OpId, Outcome, RecordId


@dataclass(frozen=True, slots=True)
class Append:
    """A record append. `offset` is the file offset of the framed record, `size` its whole length in bytes.

    `attempts` counts the record-append requests seen on the wire, copies made by a fault included.
    `completed` is None while the client still waits, or died waiting.
    """

    op: OpId
    client: str
    path: str
    record: RecordId
    size: int
    invoked: float
    completed: float | None
    outcome: Outcome
    offset: int | None
    attempts: int

    @property
    def acknowledged_at(self) -> float:
        """When the client learned that its record is safe; infinity if it never did."""
        return self.completed if self.outcome is Outcome.OK and self.completed is not None else math.inf

    @property
    def left_traces(self) -> bool:
        """Some attempt may have left a record, a part of it or a hole besides the acknowledged extent."""
        return _left_traces(self.outcome, self.attempts)


@dataclass(frozen=True, slots=True)
class Write:
    """A plain write of `size` bytes at file offset `offset`; `data` names these bytes.

    `attempts` counts write requests on the wire beyond one for each piece, plus one. `cuts`: see `Complete`.
    """

    op: OpId
    client: str
    path: str
    data: DataId
    offset: int
    size: int
    invoked: float
    completed: float | None
    outcome: Outcome
    attempts: int
    cuts: tuple[int, ...] = ()

    @property
    def end(self) -> int:
        return self.offset + self.size

    @property
    def acknowledged_at(self) -> float:
        """When the client learned that its bytes are written; infinity if it never did."""
        return self.completed if self.outcome is Outcome.OK and self.completed is not None else math.inf

    @property
    def left_traces(self) -> bool:
        """Some attempt may have been carried out in part, or at another moment than the acknowledged one."""
        return _left_traces(self.outcome, self.attempts)


def _left_traces(outcome: Outcome, attempts: int) -> bool:
    if outcome is Outcome.OK:
        return attempts > 1
    return outcome is Outcome.UNKNOWN or attempts > 0


@dataclass(frozen=True, slots=True)
class Scan:
    """A read of a whole file. `opened`: the client opened the file for it, with an empty location cache.

    `fetched`: when the oldest location it relied on was fetched, where the wire showed that.
    """

    op: OpId
    client: str
    path: str
    opened: bool
    invoked: float
    completed: float | None
    outcome: Outcome
    records: tuple[tuple[RecordId, int], ...]
    fetched: float | None = None

    @property
    def answered_at(self) -> float:
        """When the reader had its records; infinity if it never did."""
        return self.completed if self.outcome is Outcome.OK and self.completed is not None else math.inf


Operation = Append | Scan | Write

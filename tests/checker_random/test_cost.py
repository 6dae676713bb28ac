"""What a check costs grows with the history, and no faster."""

from __future__ import annotations

import sys
from itertools import count

from harness.checker import check
from harness.history import (
    Chunk,
    Complete,
    Event,
    Handle,
    History,
    InvokeAppend,
    Kind,
    OpId,
    Outcome,
    RecordId,
    Replica,
    Segment,
)
from tests.checker_random.simulated import META


def long_history(chunks: int) -> History:
    """Every chunk with its share of everything: records, a failed attempt, differing replicas, a scan."""
    events: list[Event] = []
    ops = count(1)
    for index in range(chunks):
        base, records = index * META.chunk_size, []
        for number in range(3):
            op, time = OpId(next(ops)), index * 10.0 + number
            record = RecordId(f"r{op}")
            events.append(InvokeAppend(op, "c1", time, "/log", record, 16))
            if number == 1:
                events.append(Complete(op, time + 0.5, Outcome.UNKNOWN))
            else:
                events.append(Complete(op, time + 0.5, Outcome.OK, base + number * 16))
            records.append(record)
        whole = tuple(Segment(n * 16, 16, Kind.RECORD, record) for n, record in enumerate(records))
        holed = (whole[0], Segment(16, 16, Kind.PADDING, ""), whole[2])
        events.append(Chunk("/log", index, Handle(index), 1, ("cs1", "cs2")))
        events.append(Replica(Handle(index), "cs1", 1, 48, whole))
        events.append(Replica(Handle(index), "cs2", 1, 48, holed))
    return History.of(META, events)


def lines_run(history: History) -> int:
    """How many lines of Python a check takes: the same on every machine, unlike its time."""
    lines = 0

    def trace(frame: object, event: str, argument: object) -> object:
        nonlocal lines
        lines += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)  # type: ignore[arg-type]
    try:
        assert check(history).valid
    finally:
        sys.settrace(before)
    return lines


def test_cost_grows_with_the_history_and_no_faster() -> None:
    assert lines_run(long_history(400)) < 4.4 * lines_run(long_history(100))

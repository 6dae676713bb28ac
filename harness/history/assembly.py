"""From events to operations: whatever is said twice or is impossible is refused."""

from __future__ import annotations

from harness.history.events import (
    Chunk,
    Complete,
    Event,
    Fault,
    Grant,
    Held,
    Invoke,
    InvokeAppend,
    InvokeScan,
    InvokeWrite,
    OpId,
    Outcome,
    Replica,
)
from harness.history.operations import Append, Scan, Write


class Rejected(Exception):
    """An event contradicts those before it."""


class Assembly:
    """Pairs invocations with completions, and refuses whatever is said twice or impossible."""

    def __init__(self) -> None:
        self._running: dict[OpId, Invoke] = {}
        self._seen: set[tuple[object, ...]] = set()
        self.appends: list[Append] = []
        self.scans: list[Scan] = []
        self.writes: list[Write] = []
        self.faults: list[Fault] = []
        self.grants: list[Grant] = []
        self.held: list[Held] = []
        self.chunks: list[Chunk] = []
        self.replicas: list[Replica] = []

    def end(self) -> None:
        """Nothing more comes: what still runs has no end; operations are in the order of their invocations."""
        for invoke in self._running.values():
            self._end(invoke, None)
        self._running.clear()
        self.appends.sort(key=lambda append: (append.invoked, append.op))
        self.scans.sort(key=lambda scan: (scan.invoked, scan.op))
        self.writes.sort(key=lambda write: (write.invoked, write.op))

    def add(self, event: Event) -> None:
        if isinstance(event, Complete):
            self._complete(event)
        elif isinstance(event, InvokeAppend | InvokeScan | InvokeWrite):
            self._once(f"operation {event.op} is invoked twice", "op", event.op)
            if isinstance(event, InvokeAppend):
                self._once(f"record {event.record} is appended by two operations", "record", event.record)
            elif isinstance(event, InvokeWrite):
                self._once(f"data {event.data} is written by two operations", "data", event.data)
            self._running[event.op] = event
        elif isinstance(event, Fault):
            self.faults.append(event)
        elif isinstance(event, Chunk):
            self._once(
                f"chunk {event.index} of {event.path} is described twice", "chunk", event.path, event.index
            )
            self._once(f"handle {event.handle} stands for two chunks", "handle", event.handle)
            self.chunks.append(event)
        elif isinstance(event, Grant):
            self.grants.append(event)
        elif isinstance(event, Held):
            self.held.append(event)
        else:
            who = f"the replica of handle {event.handle} on {event.server}"
            self._once(f"{who} is dumped twice", "replica", event.handle, event.server)
            _require_tiling(event, who)
            self.replicas.append(event)

    def _once(self, complaint: str, *key: object) -> None:
        if key in self._seen:
            raise Rejected(complaint)
        self._seen.add(key)

    def _complete(self, event: Complete) -> None:
        invoke = self._running.pop(event.op, None)
        if invoke is None:
            running = ("op", event.op) in self._seen
            problem = "completes twice" if running else "completes but was not invoked before"
            raise Rejected(f"operation {event.op} {problem}")
        if event.time < invoke.time:
            raise Rejected(f"operation {event.op} completes at {event.time:g}, before its invocation")
        if isinstance(invoke, InvokeAppend) and event.outcome is Outcome.OK and event.offset is None:
            raise Rejected(f'append {event.op} succeeded but has no "offset"')
        self._end(invoke, event)

    def _end(self, invoke: Invoke, end: Complete | None) -> None:
        completed, outcome = (end.time, end.outcome) if end else (None, Outcome.UNKNOWN)
        head = invoke.op, invoke.client, invoke.path
        if isinstance(invoke, InvokeAppend):
            offset = end.offset if end and outcome is Outcome.OK else None
            attempts = end.attempts if end else 1
            tail = invoke.time, completed, outcome, offset, attempts
            self.appends.append(Append(*head, invoke.record, invoke.size, *tail))
        elif isinstance(invoke, InvokeWrite):
            attempts, cuts = (end.attempts, end.cuts) if end else (1, ())
            tail = invoke.time, completed, outcome, attempts, cuts
            self.writes.append(Write(*head, invoke.data, invoke.offset, invoke.size, *tail))
        else:
            records, fetched = (end.records, end.fetched) if end else ((), None)
            self.scans.append(Scan(*head, invoke.opened, invoke.time, completed, outcome, records, fetched))


def _require_tiling(replica: Replica, who: str) -> None:
    position = 0
    for segment in replica.segments:
        if segment.start != position:
            relation = "overlap" if segment.start < position else "leave a gap"
            raise Rejected(f"segments of {who} {relation} at offset {min(position, segment.start)}")
        if segment.length < 1:
            raise Rejected(f"a segment of {who} at offset {position} is not longer than 0 bytes")
        position = segment.end
    if position != replica.length:
        raise Rejected(f"segments of {who} end at {position}, but its length is {replica.length}")

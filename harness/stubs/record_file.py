"""A file on a cell: records appended to its chunks as a GFS client does it, and the checker's word on the result.

file = RecordFile(cell)
calls = [file.begin_append(writer, sequence, 300), …]     # each goes on until it is acknowledged
for call in calls: cell.finish(call)
file.judge()                                              # LabFailure with the witness unless GFS's promises held
"""

from __future__ import annotations

import itertools
import threading
from typing import Any

from harness import records
from harness.checker import check, explain
from harness.failures import LabFailure
from harness.history import (
    Chunk,
    Complete,
    Event,
    Handle,
    History,
    InvokeAppend,
    Meta,
    OpId,
    Outcome,
    Replica,
)
from harness.stubs import cell as cells
from labkit.errors import RemoteError

PATH = "/file"
ATTEMPTS = 20


class RecordFile:
    """Its chunks are made as they are needed, on all servers of the cell, the first of them primary."""

    def __init__(self, cell: cells.Cell) -> None:
        self._cell = cell
        self._lock = threading.Lock()
        self._chunks = [cell.chunk()]
        self._numbers = itertools.count(1)
        self._events: list[Event] = []

    def begin_append(self, writer: int, sequence: int, size: int) -> cells.Call:
        """Append a record with a body of `size` bytes, again after each replica_failed, in the next chunk after chunk_full."""
        return self._cell.begin(
            lambda: self._append(writer, sequence, size), f"append of record {writer}-{sequence}"
        )

    def judge(self) -> None:
        """Read every replica, and have all of it checked."""
        cell = self._cell
        events = list(self._events)
        for index, chunk in enumerate(self._chunks):
            events.append(Chunk(PATH, index, Handle(chunk.handle), chunk.version, chunk.servers))
            for server in chunk.servers:
                data = cell.read(server, chunk, 0, cell.limits.chunk_size)
                held = tuple(records.segments(data))
                events.append(Replica(Handle(chunk.handle), server, chunk.version, len(data), held))
        meta = Meta(
            seed=0,
            chunk_size=cell.limits.chunk_size,
            record_limit=cell.limits.record_limit,
            replicas=len(cell.names),
            cache_lifetime=cell.limits.location_cache,
        )
        history = History.of(meta, events)
        verdict = check(history)
        if not verdict.valid:
            raise LabFailure(
                "the append guarantee does not hold",
                expected="every acknowledged record whole at its offset on every replica; copies, padding and gaps are legal",
                seen=", ".join(dict.fromkeys(one.name.value for one in verdict.anomalies))
                or "; ".join(verdict.reasons),
                witness=explain(verdict, history),
            )

    @property
    def chunks(self) -> int:
        return len(self._chunks)

    def _append(self, writer: int, sequence: int, size: int) -> dict[str, Any]:
        cell = self._cell
        data = records.frame(writer, sequence, records.body(writer, sequence, size))
        op = OpId(next(self._numbers))
        record = records.record_id(writer, sequence)
        self._note(InvokeAppend(op, f"c{writer}", cell.cluster.now(), PATH, record, len(data)))
        index = len(self._chunks) - 1
        for attempt in range(1, ATTEMPTS + 1):
            try:
                offset = cell.ask_append(self._chunks[index], cell.push(data))
            except RemoteError as error:
                if error.code == "chunk_full":
                    index = self._next(index)
                elif error.code != "replica_failed":
                    raise
                continue
            at = index * cell.limits.chunk_size + offset
            self._note(Complete(op, cell.cluster.now(), Outcome.OK, at, attempt))
            return {"offset": at}
        raise LabFailure(f"record {record} was not acknowledged in {ATTEMPTS} attempts")

    def _next(self, index: int) -> int:
        with self._lock:
            if index + 1 == len(self._chunks):
                self._chunks.append(self._cell.chunk())
            return index + 1

    def _note(self, event: Event) -> None:
        with self._lock:
            self._events.append(event)

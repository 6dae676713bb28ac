"""What clients saw and what the disks held in the end: the evidence that the checker judges.

A history is a file of JSON lines. The first line is the `meta` object. `invoke` and `complete` lines
bracket each operation, stamped with the harness's virtual clock *before* the request went to the client
node and *after* its answer came back, so they hold whatever the student's code does. `fault` lines only
help to explain. `grant` and `held` lines are what the wire showed of leases and of secondaries. `chunk` and
`replica` lines are the final truth, read over the wire once all is healed.

Invariant: a `History` is well formed. Operations, records, chunks and replicas are unique, no operation
completes before it is invoked, and the segments of a replica tile it from 0 to its length. Whatever breaks
this is a `HistoryError`: one sentence that names the line.

`events` are the lines, `operations` what they amount to, `rows` their JSON, `assembly` the way from one to the other.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.history.assembly import Assembly, Rejected
from harness.history.events import (
    Chunk,
    Complete,
    DataId,
    Event,
    Fault,
    Grant,
    Handle,
    Held,
    HistoryError,
    Invoke,
    InvokeAppend,
    InvokeScan,
    InvokeWrite,
    Kind,
    Meta,
    OpId,
    Outcome,
    RecordId,
    Replica,
    Segment,
)
from harness.history.operations import Append, Operation, Scan, Write
from harness.history.rows import FORMAT, Row, operation_rows, plain_row

__all__ = [
    "Append",
    "Chunk",
    "Complete",
    "DataId",
    "Event",
    "Fault",
    "Grant",
    "Handle",
    "Held",
    "History",
    "HistoryError",
    "Invoke",
    "InvokeAppend",
    "InvokeScan",
    "InvokeWrite",
    "Kind",
    "Meta",
    "OpId",
    "Operation",
    "Outcome",
    "RecordId",
    "Replica",
    "Scan",
    "Segment",
    "Write",
]


@dataclass(frozen=True, slots=True)
class History:
    """One run. Operations are in the order of their invocations."""

    meta: Meta
    appends: tuple[Append, ...] = ()
    scans: tuple[Scan, ...] = ()
    faults: tuple[Fault, ...] = ()
    chunks: tuple[Chunk, ...] = ()
    replicas: tuple[Replica, ...] = ()
    writes: tuple[Write, ...] = ()
    grants: tuple[Grant, ...] = ()
    held: tuple[Held, ...] = ()

    @classmethod
    def of(cls, meta: Meta, events: Iterable[Event]) -> History:
        """The history of recorded events; complaints count them from 1."""
        return cls._assembled(meta, enumerate(events, start=1), "event")

    @classmethod
    def parse(cls, lines: Iterable[str]) -> History:
        """The history written in `lines`; blank lines are skipped. Raises HistoryError."""
        rows = (Row.read(number, line) for number, line in enumerate(lines, start=1) if line.strip())
        first = next(rows, None)
        if first is None:
            raise HistoryError("line 1: the history is empty; it must begin with a meta object")
        return cls._assembled(first.meta(), ((row.number, row.event()) for row in rows), "line")

    @classmethod
    def load(cls, path: str | Path) -> History:
        """The history in the file `path`. Raises HistoryError, also when the file cannot be read."""
        try:
            with Path(path).open(encoding="utf-8") as file:
                return cls.parse(file)
        except OSError as error:
            raise HistoryError(f"{path}: cannot be read ({error.strerror})") from error
        except UnicodeDecodeError as error:
            raise HistoryError(f"{path}: is not UTF-8 text") from error
        except HistoryError as error:
            raise HistoryError(f"{path}: {error}") from error

    def lines(self) -> Iterator[str]:
        """The history as JSON lines, events in order of time and the final dump last."""
        meta = {"type": "meta", "version": FORMAT} | {
            name: getattr(self.meta, name) for name in Meta.__slots__
        }
        if not self.meta.note:
            del meta["note"]
        timed = [row for op in (*self.appends, *self.scans, *self.writes) for row in operation_rows(op)]
        timed += [(fault.time, 1, plain_row(fault, "fault")) for fault in self.faults]
        timed += [(grant.time, 1, plain_row(grant, "grant")) for grant in self.grants]
        timed += [(held.time, 1, plain_row(held, "held")) for held in self.held]
        timed.sort(key=lambda entry: entry[:2])
        yield json.dumps(meta)
        for _, _, row in timed:
            yield json.dumps(row)
        for chunk in self.chunks:
            yield json.dumps(plain_row(chunk, "chunk"))
        for replica in self.replicas:
            yield json.dumps(plain_row(replica, "replica"))

    def save(self, path: str | Path) -> None:
        """Write the history so that `load` gives it back."""
        with Path(path).open("w", encoding="utf-8") as file:
            file.writelines(line + "\n" for line in self.lines())

    @classmethod
    def _assembled(cls, meta: Meta, events: Iterable[tuple[int, Event]], unit: str) -> History:
        assembly = Assembly()
        for number, event in events:
            try:
                assembly.add(event)
            except Rejected as error:
                raise HistoryError(f"{unit} {number}: {error}") from error
        assembly.end()
        return cls(
            meta,
            tuple(assembly.appends),
            tuple(assembly.scans),
            tuple(assembly.faults),
            tuple(assembly.chunks),
            tuple(assembly.replicas),
            tuple(assembly.writes),
            tuple(assembly.grants),
            tuple(assembly.held),
        )

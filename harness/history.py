"""What clients saw and what the disks held in the end: the evidence that the checker judges.

A history is a file of JSON lines. The first line is the `meta` object. `invoke` and `complete` lines
bracket each operation, stamped with the harness's virtual clock *before* the request went to the client
node and *after* its answer came back, so they hold whatever the student's code does. `fault` lines only
help to explain. `chunk` and `replica` lines are the final truth, read over the wire once all is healed.

Invariant: a `History` is well formed. Operations, records, chunks and replicas are unique, no operation
completes before it is invoked, and the segments of a replica tile it from 0 to its length. Whatever breaks
this is a `HistoryError`: one sentence that names the line.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import NamedTuple, NewType, cast

OpId = NewType("OpId", int)
RecordId = NewType("RecordId", str)
DataId = NewType("DataId", str)
Handle = NewType("Handle", int)

FORMAT = 1


class HistoryError(Exception):
    """The history cannot be read; the message says in one sentence where and why."""


class Outcome(str, Enum):
    """What a client may believe. FAIL is only the client library's word: see `Append.left_traces`."""

    OK = "ok"
    FAIL = "fail"
    UNKNOWN = "unknown"


class Kind(str, Enum):
    """What the harness recognised in a stretch of a replica's bytes."""

    RECORD = "record"
    PADDING = "padding"
    FRAGMENT = "fragment"
    WRITE = "write"
    OTHER = "other"


class Segment(NamedTuple):
    """`length` bytes from chunk offset `start`. `content` is a record's id, or a hash for OTHER.

    For WRITE it is the id of a plain write's data: the bytes that this write puts at just these offsets.

    A tuple rather than a dataclass: there are millions, and whole replicas are compared at once.
    """

    start: int
    length: int
    kind: Kind
    content: str

    @property
    def end(self) -> int:
        return self.start + self.length


@dataclass(frozen=True, slots=True)
class Meta:
    """The run's constants: sizes in bytes, `cache_lifetime` in virtual seconds."""

    seed: int
    chunk_size: int
    record_limit: int
    replicas: int
    cache_lifetime: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class InvokeAppend:
    op: OpId
    client: str
    time: float
    path: str
    record: RecordId
    size: int


@dataclass(frozen=True, slots=True)
class InvokeScan:
    op: OpId
    client: str
    time: float
    path: str
    opened: bool


@dataclass(frozen=True, slots=True)
class InvokeWrite:
    op: OpId
    client: str
    time: float
    path: str
    offset: int
    size: int
    data: DataId


@dataclass(frozen=True, slots=True)
class Complete:
    """The end of an operation. `offset` belongs to appends, `attempts` also to writes, `records`, `fetched` to scans.

    `cuts` are the file offsets, besides the boundaries of chunks, at which a client split a write.
    """

    op: OpId
    time: float
    outcome: Outcome
    offset: int | None = None
    attempts: int = 1
    records: tuple[tuple[RecordId, int], ...] = ()
    fetched: float | None = None
    cuts: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Fault:
    time: float
    what: str


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk as the master described it in the end: its current version and who holds it."""

    path: str
    index: int
    handle: Handle
    version: int
    replicas: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Replica:
    """A chunk as one chunkserver held it in the end."""

    handle: Handle
    server: str
    version: int
    length: int
    segments: tuple[Segment, ...]


Invoke = InvokeAppend | InvokeScan | InvokeWrite
Event = Invoke | Complete | Fault | Chunk | Replica


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

    @classmethod
    def of(cls, meta: Meta, events: Iterable[Event]) -> History:
        """The history of recorded events; complaints count them from 1."""
        return _assemble(meta, enumerate(events, start=1), "event")

    @classmethod
    def parse(cls, lines: Iterable[str]) -> History:
        """The history written in `lines`; blank lines are skipped. Raises HistoryError."""
        rows = (_Row.read(number, line) for number, line in enumerate(lines, start=1) if line.strip())
        first = next(rows, None)
        if first is None:
            raise HistoryError("line 1: the history is empty; it must begin with a meta object")
        return _assemble(first.meta(), ((row.number, row.event()) for row in rows), "line")

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
        timed = [row for op in (*self.appends, *self.scans, *self.writes) for row in _operation_rows(op)]
        timed += [(fault.time, 1, _row(fault, "fault")) for fault in self.faults]
        timed.sort(key=lambda entry: entry[:2])
        yield json.dumps(meta)
        for _, _, row in timed:
            yield json.dumps(row)
        for chunk in self.chunks:
            yield json.dumps(_row(chunk, "chunk"))
        for replica in self.replicas:
            yield json.dumps(_row(replica, "replica"))

    def save(self, path: str | Path) -> None:
        """Write the history so that `load` gives it back."""
        with Path(path).open("w", encoding="utf-8") as file:
            file.writelines(line + "\n" for line in self.lines())


def _row(item: Fault | Chunk | Replica, kind: str) -> dict[str, object]:
    row: dict[str, object] = {"type": kind}
    return row | {name: getattr(item, name) for name in type(item).__slots__}


def _operation_rows(op: Operation) -> Iterator[tuple[float, int, dict[str, object]]]:
    """The invoke and complete rows of one operation, each with its time and its rank at equal times."""
    invoke: dict[str, object] = {"type": "invoke", "op": op.op, "client": op.client, "time": op.invoked}
    if isinstance(op, Append):
        invoke |= {"action": "append", "path": op.path, "record": op.record, "size": op.size}
    elif isinstance(op, Write):
        invoke |= {"action": "write", "path": op.path, "offset": op.offset, "size": op.size, "data": op.data}
    else:
        invoke |= {"action": "scan", "path": op.path, "opened": op.opened}
    yield op.invoked, 0, invoke
    if op.completed is None:
        return
    complete: dict[str, object] = {
        "type": "complete",
        "op": op.op,
        "time": op.completed,
        "outcome": op.outcome.value,
    }
    if isinstance(op, Scan):
        complete["records"] = op.records
        complete |= {} if op.fetched is None else {"fetched": op.fetched}
    elif isinstance(op, Write):
        complete["attempts"] = op.attempts
        complete |= {"cuts": op.cuts} if op.cuts else {}
    else:
        complete |= {} if op.offset is None else {"offset": op.offset}
        complete["attempts"] = op.attempts
    yield op.completed, 2, complete


class _Row:
    """One line of the file, read field by field; every complaint names the line."""

    __slots__ = ("fields", "number")

    def __init__(self, number: int, fields: dict[str, object]) -> None:
        self.number = number
        self.fields = fields

    @classmethod
    def read(cls, number: int, line: str) -> _Row:
        try:
            value: object = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise HistoryError(f"line {number}: is not JSON ({error})") from error
        if not isinstance(value, dict):
            raise HistoryError(f"line {number}: is not a JSON object")
        return cls(number, cast("dict[str, object]", value))

    def error(self, problem: str) -> HistoryError:
        return HistoryError(f"line {self.number}: {problem}")

    def text(self, name: str) -> str:
        value = self.fields.get(name)
        if not isinstance(value, str):
            raise self.error(f'"{name}" must be a string')
        return value

    def integer(self, name: str, least: int = 0) -> int:
        value = self.fields.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise self.error(f'"{name}" must be an integer of at least {least}')
        return value

    def seconds(self, name: str) -> float:
        value = self.fields.get(name)
        if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) < math.inf:
            raise self.error(f'"{name}" must be a finite number of seconds')
        return float(value)

    def flag(self, name: str) -> bool:
        value = self.fields.get(name)
        if not isinstance(value, bool):
            raise self.error(f'"{name}" must be true or false')
        return value

    def items(self, name: str) -> list[object]:
        value = self.fields.get(name)
        if not isinstance(value, list):
            raise self.error(f'"{name}" must be a list')
        return cast("list[object]", value)

    def outcome(self) -> Outcome:
        try:
            return Outcome(self.fields.get("outcome"))
        except ValueError as error:
            raise self.error('"outcome" must be one of ok, fail, unknown') from error

    def meta(self) -> Meta:
        if self.fields.get("type") != "meta":
            raise self.error("the history must begin with a meta object")
        if self.integer("version") != FORMAT:
            raise self.error(f"this reader knows version {FORMAT} of the format only")
        return Meta(
            seed=self.integer("seed"),
            chunk_size=self.integer("chunk_size", 1),
            record_limit=self.integer("record_limit", 1),
            replicas=self.integer("replicas", 1),
            cache_lifetime=self.seconds("cache_lifetime"),
            note=self.text("note") if "note" in self.fields else "",
        )

    def event(self) -> Event:
        kind = self.text("type")
        decode = _DECODERS.get(kind)
        if decode is None:
            raise self.error(f'"{kind}" is not a type of line')
        return decode(self)

    def invoke(self) -> Invoke:
        op, client, time = OpId(self.integer("op")), self.text("client"), self.seconds("time")
        action, path = self.text("action"), self.text("path")
        if action == "append":
            return InvokeAppend(
                op, client, time, path, RecordId(sys.intern(self.text("record"))), self.integer("size", 1)
            )
        if action == "scan":
            return InvokeScan(op, client, time, path, self.flag("opened"))
        if action == "write":
            offset, size = self.integer("offset"), self.integer("size", 1)
            return InvokeWrite(op, client, time, path, offset, size, DataId(self.text("data")))
        raise self.error(f'"{action}" is not an action')

    def complete(self) -> Complete:
        fields = self.fields
        return Complete(
            OpId(self.integer("op")),
            self.seconds("time"),
            self.outcome(),
            None if fields.get("offset") is None else self.integer("offset"),
            self.integer("attempts") if "attempts" in fields else 1,
            tuple(map(self._record, self.items("records"))) if "records" in fields else (),
            None if fields.get("fetched") is None else self.seconds("fetched"),
            tuple(map(self._cut, self.items("cuts"))) if "cuts" in fields else (),
        )

    def _cut(self, item: object) -> int:
        if not isinstance(item, int) or isinstance(item, bool) or item < 0:
            raise self.error('"cuts" must hold file offsets')
        return item

    def _record(self, item: object) -> tuple[RecordId, int]:
        match item:
            case [str(record), int(offset)] if offset >= 0:
                return RecordId(sys.intern(record)), offset
            case _:
                raise self.error('"records" must hold pairs of a record id and a file offset')

    def fault(self) -> Fault:
        return Fault(self.seconds("time"), self.text("what"))

    def chunk(self) -> Chunk:
        names = self.items("replicas")
        servers = tuple(name for name in names if isinstance(name, str))
        if len(set(servers)) != len(names):
            raise self.error('"replicas" must be a list of different server names')
        return Chunk(
            self.text("path"),
            self.integer("index"),
            Handle(self.integer("handle")),
            self.integer("version"),
            servers,
        )

    def replica(self) -> Replica:
        return Replica(
            Handle(self.integer("handle")),
            self.text("server"),
            self.integer("version"),
            self.integer("length"),
            tuple(map(self._segment, self.items("segments"))),
        )

    def _segment(self, item: object) -> Segment:
        match item:
            case [int(start), int(length), str(kind), str(content)] if kind in _KINDS:
                return Segment(start, length, _KINDS[kind], sys.intern(content))
            case _:
                raise self.error(
                    f'"segments" must hold [start, length, kind, content], kind one of {", ".join(_KINDS)}'
                )


_KINDS = {kind.value: kind for kind in Kind}
_DECODERS = {
    "invoke": _Row.invoke,
    "complete": _Row.complete,
    "fault": _Row.fault,
    "chunk": _Row.chunk,
    "replica": _Row.replica,
}


def _assemble(meta: Meta, events: Iterable[tuple[int, Event]], unit: str) -> History:
    assembly = _Assembly()
    for number, event in events:
        try:
            assembly.add(event)
        except _Rejected as error:
            raise HistoryError(f"{unit} {number}: {error}") from error
    return assembly.history(meta)


class _Rejected(Exception):
    """An event contradicts those before it."""


class _Assembly:
    """Pairs invocations with completions, and refuses whatever is said twice or impossible."""

    def __init__(self) -> None:
        self._running: dict[OpId, Invoke] = {}
        self._seen: set[tuple[object, ...]] = set()
        self._appends: list[Append] = []
        self._scans: list[Scan] = []
        self._writes: list[Write] = []
        self._faults: list[Fault] = []
        self._chunks: list[Chunk] = []
        self._replicas: list[Replica] = []

    def history(self, meta: Meta) -> History:
        for invoke in self._running.values():
            self._end(invoke, None)
        self._appends.sort(key=lambda append: (append.invoked, append.op))
        self._scans.sort(key=lambda scan: (scan.invoked, scan.op))
        self._writes.sort(key=lambda write: (write.invoked, write.op))
        return History(
            meta,
            tuple(self._appends),
            tuple(self._scans),
            tuple(self._faults),
            tuple(self._chunks),
            tuple(self._replicas),
            tuple(self._writes),
        )

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
            self._faults.append(event)
        elif isinstance(event, Chunk):
            self._once(
                f"chunk {event.index} of {event.path} is described twice", "chunk", event.path, event.index
            )
            self._once(f"handle {event.handle} stands for two chunks", "handle", event.handle)
            self._chunks.append(event)
        else:
            who = f"the replica of handle {event.handle} on {event.server}"
            self._once(f"{who} is dumped twice", "replica", event.handle, event.server)
            _require_tiling(event, who)
            self._replicas.append(event)

    def _once(self, complaint: str, *key: object) -> None:
        if key in self._seen:
            raise _Rejected(complaint)
        self._seen.add(key)

    def _complete(self, event: Complete) -> None:
        invoke = self._running.pop(event.op, None)
        if invoke is None:
            running = ("op", event.op) in self._seen
            problem = "completes twice" if running else "completes but was not invoked before"
            raise _Rejected(f"operation {event.op} {problem}")
        if event.time < invoke.time:
            raise _Rejected(f"operation {event.op} completes at {event.time:g}, before its invocation")
        if isinstance(invoke, InvokeAppend) and event.outcome is Outcome.OK and event.offset is None:
            raise _Rejected(f'append {event.op} succeeded but has no "offset"')
        self._end(invoke, event)

    def _end(self, invoke: Invoke, end: Complete | None) -> None:
        completed, outcome = (end.time, end.outcome) if end else (None, Outcome.UNKNOWN)
        head = invoke.op, invoke.client, invoke.path
        if isinstance(invoke, InvokeAppend):
            offset = end.offset if end and outcome is Outcome.OK else None
            attempts = end.attempts if end else 1
            tail = invoke.time, completed, outcome, offset, attempts
            self._appends.append(Append(*head, invoke.record, invoke.size, *tail))
        elif isinstance(invoke, InvokeWrite):
            attempts, cuts = (end.attempts, end.cuts) if end else (1, ())
            tail = invoke.time, completed, outcome, attempts, cuts
            self._writes.append(Write(*head, invoke.data, invoke.offset, invoke.size, *tail))
        else:
            records, fetched = (end.records, end.fetched) if end else ((), None)
            self._scans.append(Scan(*head, invoke.opened, invoke.time, completed, outcome, records, fetched))


def _require_tiling(replica: Replica, who: str) -> None:
    position = 0
    for segment in replica.segments:
        if segment.start != position:
            relation = "overlap" if segment.start < position else "leave a gap"
            raise _Rejected(f"segments of {who} {relation} at offset {min(position, segment.start)}")
        if segment.length < 1:
            raise _Rejected(f"a segment of {who} at offset {position} is not longer than 0 bytes")
        position = segment.end
    if position != replica.length:
        raise _Rejected(f"segments of {who} end at {position}, but its length is {replica.length}")

"""A history as JSON: reading one line field by field, and writing one; every complaint names the line."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from typing import cast

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

FORMAT = 1


def plain_row(item: Fault | Grant | Held | Chunk | Replica, kind: str) -> dict[str, object]:
    row: dict[str, object] = {"type": kind}
    return row | {name: getattr(item, name) for name in type(item).__slots__}


def operation_rows(op: Operation) -> Iterator[tuple[float, int, dict[str, object]]]:
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


class Row:
    """One line of the file, read field by field; every complaint names the line."""

    __slots__ = ("fields", "number")

    def __init__(self, number: int, fields: dict[str, object]) -> None:
        self.number = number
        self.fields = fields

    @classmethod
    def read(cls, number: int, line: str) -> Row:
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

    def grant(self) -> Grant:
        return Grant(
            self.seconds("time"),
            Handle(self.integer("handle")),
            self.integer("version"),
            self.text("primary"),
            self.servers("secondaries"),
        )

    def held(self) -> Held:
        return Held(
            self.seconds("time"),
            Handle(self.integer("handle")),
            self.integer("version"),
            self.text("server"),
            self.integer("offset"),
            RecordId(sys.intern(self.text("record"))),
        )

    def servers(self, name: str) -> tuple[str, ...]:
        names = self.items(name)
        servers = tuple(one for one in names if isinstance(one, str))
        if len(set(servers)) != len(names):
            raise self.error(f'"{name}" must be a list of different server names')
        return servers

    def chunk(self) -> Chunk:
        return Chunk(
            self.text("path"),
            self.integer("index"),
            Handle(self.integer("handle")),
            self.integer("version"),
            self.servers("replicas"),
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
    "invoke": Row.invoke,
    "complete": Row.complete,
    "fault": Row.fault,
    "grant": Row.grant,
    "held": Row.held,
    "chunk": Row.chunk,
    "replica": Row.replica,
}

"""Clients at work, and the history of what they saw.

Every operation runs in a thread of the harness that stamps it before the command goes to the client's node and after
the answer is back: sound whatever the student's code does. One operation at a time per client.
"""

from __future__ import annotations

import bisect
import itertools
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, cast

from harness import records
from harness.cluster import Cluster
from harness.failures import NOT_IMPLEMENTED, HarnessFault, LabFailure
from harness.history import Complete, Event, InvokeAppend, InvokeScan, InvokeWrite, OpId, Outcome, RecordId
from harness.network.frame import REQUEST
from harness.node import CallRefused
from harness.processes.session import Pending
from labkit import Limits
from labkit.checksum import crc32c

OPERATION_PATIENCE = 45.0  # seconds of patience one operation may take


@dataclass
class Operation:
    """One operation under way or done. `value` is an append's offset or a scan's rows, `frame` an append's record."""

    invoke: InvokeAppend | InvokeScan | InvokeWrite
    frame: bytes = b""
    done: threading.Event = field(default_factory=threading.Event)
    outcome: Outcome = Outcome.UNKNOWN
    completed: float = 0.0
    value: Any = None
    failure: LabFailure | HarnessFault | None = None
    refused: str = ""  # what the client library raised
    pending: Pending | None = None

    def __str__(self) -> str:
        invoke = self.invoke
        what = type(invoke).__name__.removeprefix("Invoke").lower()
        return f"{what} {invoke.op} of {invoke.client} on {invoke.path}"

    @property
    def answered(self) -> bool:
        """The node has answered, and nobody has looked at the answer yet."""
        return self.pending is not None and self.pending.done and not self.done.is_set()

    @property
    def acknowledged(self) -> bool:
        return self.done.is_set() and self.outcome is Outcome.OK


class Workload:
    """Starts operations on client nodes of `cluster` and remembers them."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._numbers = itertools.count(1)
        self._writers: dict[str, int] = {}
        self._sequences: Counter[str] = Counter()
        self._checksums: dict[RecordId, int] = {}
        self.operations: list[Operation] = []

    def append(self, client: str, path: str, size: int = 200) -> Operation:
        """Begin an append of a record with a body of `size` bytes."""
        writer = self._writers.setdefault(client, len(self._writers) + 1)
        self._sequences[client] += 1
        sequence = self._sequences[client]
        content = records.body(writer, sequence, size)
        frame = records.frame(writer, sequence, content)
        invoke = InvokeAppend(
            OpId(next(self._numbers)),
            client,
            self._cluster.now(),
            path,
            records.record_id(writer, sequence),
            len(frame),
        )
        self._checksums[invoke.record] = crc32c(content)
        args = {"path": path, "body": content, "writer": writer, "sequence": sequence}
        return self._begin(Operation(invoke, frame), "append", args)

    def write(self, client: str, path: str, offset: int, size: int) -> Operation:
        """Begin a plain write of `size` bytes; it and `offset` are multiples of records.CELL."""
        writer = self._writers.setdefault(client, len(self._writers) + 1)
        self._sequences[client] += 1
        content = records.page(writer, self._sequences[client], size)
        invoke = InvokeWrite(
            OpId(next(self._numbers)),
            client,
            self._cluster.now(),
            path,
            offset,
            len(content),
            records.data_id(writer, self._sequences[client]),
        )
        return self._begin(Operation(invoke), "write", {"path": path, "offset": offset, "data": content})

    def scan(self, client: str, path: str, *, fresh: bool = True) -> Operation:
        """Begin a scan; `fresh` opens the file anew."""
        invoke = InvokeScan(OpId(next(self._numbers)), client, self._cluster.now(), path, fresh)
        return self._begin(Operation(invoke), "scan", {"path": path, "fresh": fresh})

    def events(self) -> list[Event]:
        """Everything that happened, for History.of."""
        attempts = self._attempts()
        events: list[tuple[float, int, Event]] = []
        for operation in list(self.operations):
            op = operation.invoke.op
            events.append((operation.invoke.time, 0, operation.invoke))
            if operation.done.is_set():
                events.append((operation.completed, 1, self._complete(operation, attempts[op])))
        return [event for _, _, event in sorted(events, key=lambda entry: entry[:2])]

    def raise_failures(self) -> None:
        """The first failure that is no outcome of an operation but a fault of the client library."""
        for operation in self.operations:
            if operation.failure is not None:
                raise operation.failure

    def _begin(self, operation: Operation, command: str, args: dict[str, Any]) -> Operation:
        self.operations.append(operation)
        # Given here and now: whoever lets time pass next means that the operation has begun.
        operation.pending = self._cluster.begin(operation.invoke.client, command, **args)
        threading.Thread(target=self._run, args=(operation, operation.pending), daemon=True).start()
        return operation

    def _run(self, operation: Operation, pending: Pending) -> None:
        try:
            value = self._cluster.result(operation.invoke.client, pending, OPERATION_PATIENCE)
            operation.value = _checked(operation.invoke, value)
            operation.outcome = Outcome.OK
        except CallRefused as refused:
            operation.outcome = Outcome.FAIL if refused.definite else Outcome.UNKNOWN
            operation.refused = refused.message
            if refused.kind == NOT_IMPLEMENTED or not refused.documented:
                operation.failure = refused
        except (LabFailure, HarnessFault) as failure:
            operation.failure = failure
        finally:
            operation.completed = self._cluster.now()
            operation.done.set()

    def _complete(self, operation: Operation, attempts: int) -> Complete:
        op = operation.invoke.op
        if isinstance(operation.invoke, InvokeAppend):
            return Complete(op, operation.completed, operation.outcome, operation.value, attempts)
        if isinstance(operation.invoke, InvokeWrite):
            return Complete(op, operation.completed, operation.outcome, attempts=max(1, attempts))
        rows = cast(list[list[int]], operation.value or [])
        seen = tuple((self._seen(*row[1:]), row[0]) for row in rows)
        return Complete(op, operation.completed, operation.outcome, records=seen)

    def _seen(self, writer: int, sequence: int, checksum: int) -> RecordId:
        """The record a reader returned; under a name nobody appended if its body is another's."""
        name = records.record_id(writer, sequence)
        return name if self._checksums.get(name) == checksum else RecordId(f"{name}, with another body")

    def _attempts(self) -> Counter[OpId]:
        """How often the wire saw each operation tried: the requests a client sent while it was under way.

        Of an append every transmission counts; of a write every call beyond one for each chunk it reaches, plus one.
        """
        counted = self._requests("append", InvokeAppend, once=False)
        size = Limits.from_config(self._cluster.limits).chunk_size
        for operation in self.operations:
            if isinstance(operation.invoke, InvokeWrite):
                invoke = operation.invoke
                calls = self._requests("write", InvokeWrite, once=True)[invoke.op]
                pieces = (invoke.offset + invoke.size - 1) // size - invoke.offset // size + 1
                counted[invoke.op] = max(0, calls - pieces) + 1
        return counted

    def _requests(self, method: str, kind: type[InvokeAppend | InvokeWrite], *, once: bool) -> Counter[OpId]:
        """Requests of a method for each operation of a kind; `once`: a call that was sent twice counts once."""
        by_client: dict[str, list[tuple[float, OpId]]] = {}
        for operation in self.operations:
            if isinstance(operation.invoke, kind):
                invoke = operation.invoke
                by_client.setdefault(invoke.client, []).append((invoke.time, invoke.op))
        counted: Counter[OpId] = Counter()
        calls: set[object] = set()
        for frame in self._cluster.network.frames(method, REQUEST):
            begun = by_client.get(frame.sender, [])
            position = bisect.bisect_right(begun, frame.time, key=lambda entry: entry[0]) - 1
            if position < 0 or (once and frame.xid in calls):
                continue
            calls.add(frame.xid)
            counted[begun[position][1]] += 2 if frame.fate == "duplicated" and not once else 1
        return counted


def _checked(invoke: InvokeAppend | InvokeScan | InvokeWrite, value: Any) -> Any:
    """What the client library returned, or a LabFailure when it is of another type than its docstring says."""
    good = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    if isinstance(invoke, InvokeAppend) and not good:
        raise LabFailure(
            f"append on {invoke.client} returned no offset",
            expected="the file offset of the record, an int of at least 0",
            seen=repr(value),
        )
    return value

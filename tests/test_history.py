"""The history format: what is written is read back, and whatever is wrong is said in one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.history import (
    Chunk,
    Complete,
    Fault,
    Grant,
    Handle,
    Held,
    History,
    HistoryError,
    InvokeAppend,
    InvokeScan,
    Kind,
    Meta,
    OpId,
    Outcome,
    RecordId,
    Replica,
    Segment,
)

META = Meta(seed=1, chunk_size=65536, record_limit=16384, replicas=3, cache_lifetime=60.0)
META_LINE = '{"type":"meta","version":1,"seed":1,"chunk_size":65536,"record_limit":16384,"replicas":3,"cache_lifetime":60.0}'
INVOKE = {
    "type": "invoke",
    "op": 1,
    "client": "c1",
    "time": 1.25,
    "action": "append",
    "path": "/log",
    "record": "c1-1",
    "size": 200,
}
COMPLETE = {"type": "complete", "op": 1, "time": 1.5, "outcome": "ok", "offset": 4096, "attempts": 1}
SCAN = {
    "type": "invoke",
    "op": 2,
    "client": "c2",
    "time": 2.0,
    "action": "scan",
    "path": "/log",
    "opened": True,
}
SCANNED = {"type": "complete", "op": 2, "time": 2.2, "outcome": "ok", "records": [["c1-1", 4096]]}
CHUNK = {"type": "chunk", "path": "/log", "index": 0, "handle": 7, "version": 3, "replicas": ["cs1", "cs2"]}
GRANT = {"type": "grant", "time": 1.1, "handle": 7, "version": 2, "primary": "cs1", "secondaries": ["cs2"]}
HELD = {
    "type": "held",
    "time": 1.3,
    "handle": 7,
    "version": 2,
    "server": "cs2",
    "offset": 0,
    "record": "c1-1",
}
REPLICA = {
    "type": "replica",
    "handle": 7,
    "server": "cs1",
    "version": 3,
    "length": 300,
    "segments": [[0, 200, "record", "c1-1"], [200, 100, "padding", ""]],
}


def parse(*rows: dict[str, object] | str) -> History:
    return History.parse([META_LINE, *(row if isinstance(row, str) else json.dumps(row) for row in rows)])


def recorded() -> History:
    return History.of(
        META,
        [
            InvokeAppend(OpId(1), "c1", 1.25, "/log", RecordId("c1-1"), 200),
            Grant(1.1, Handle(7), 2, "cs1", ("cs2", "cs3")),
            Held(1.35, Handle(7), 2, "cs2", 0, RecordId("c1-1")),
            Fault(1.4, "crash cs2"),
            Complete(OpId(1), 1.5, Outcome.OK, offset=4096, attempts=2),
            InvokeScan(OpId(2), "c2", 2.0, "/log", True),
            InvokeAppend(OpId(3), "c1", 2.1, "/log", RecordId("c1-2"), 100),
            Complete(OpId(2), 2.2, Outcome.OK, records=((RecordId("c1-1"), 4096),)),
            InvokeAppend(OpId(4), "c2", 2.5, "/log", RecordId("c2-1"), 100),
            Complete(OpId(4), 2.6, Outcome.FAIL, attempts=0),
            Chunk("/log", 0, Handle(7), 3, ("cs1",)),
            Replica(Handle(7), "cs1", 3, 200, (Segment(0, 200, Kind.RECORD, "c1-1"),)),
        ],
    )


def test_lines_become_operations() -> None:
    history = parse(INVOKE, COMPLETE, SCAN, SCANNED, CHUNK, REPLICA)
    append, scan = history.appends[0], history.scans[0]
    assert (append.acknowledged_at, append.offset, append.attempts) == (1.5, 4096, 1)
    assert (scan.opened, scan.answered_at, scan.records) == (True, 2.2, (("c1-1", 4096),))
    assert history.replicas[0].segments[1] == Segment(200, 100, Kind.PADDING, "")


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    history = recorded()
    history.save(tmp_path / "history.jsonl")
    assert History.load(tmp_path / "history.jsonl") == history


def test_operation_without_completion_is_unknown() -> None:
    append = parse(INVOKE).appends[0]
    assert append.outcome is Outcome.UNKNOWN
    assert append.completed is None
    assert append.left_traces


@pytest.mark.parametrize(
    ("end", "left_traces"),
    [
        ({"outcome": "ok", "offset": 0, "attempts": 1}, False),
        ({"outcome": "ok", "offset": 0, "attempts": 2}, True),
        ({"outcome": "fail", "attempts": 0}, False),
        ({"outcome": "fail", "attempts": 1}, True),
        ({"outcome": "unknown", "attempts": 1}, True),
    ],
)
def test_only_what_reached_the_wire_leaves_traces(end: dict[str, object], left_traces: bool) -> None:
    append = parse(INVOKE, {"type": "complete", "op": 1, "time": 1.5} | end).appends[0]
    assert append.left_traces is left_traces


def segments(*tiles: list[object], length: int = 300) -> dict[str, object]:
    return REPLICA | {"segments": list(tiles), "length": length}


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        (["{"], "line 2: is not JSON"),
        (["[" * 100_000], "line 2: is not JSON"),
        (["[]"], "line 2: is not a JSON object"),
        ([{"type": "surprise"}], 'line 2: "surprise" is not a type of line'),
        ([{}], 'line 2: "type" must be a string'),
        ([INVOKE | {"action": "delete"}], 'line 2: "delete" is not an action'),
        ([INVOKE | {"op": "1"}], 'line 2: "op" must be an integer'),
        ([INVOKE | {"op": True}], 'line 2: "op" must be an integer'),
        ([INVOKE | {"size": 0}], 'line 2: "size" must be an integer of at least 1'),
        ([INVOKE | {"time": float("nan")}], 'line 2: "time" must be a finite number'),
        ([SCAN | {"opened": 1}], 'line 2: "opened" must be true or false'),
        ([INVOKE, COMPLETE | {"outcome": "maybe"}], 'line 3: "outcome" must be one of ok, fail, unknown'),
        ([INVOKE, COMPLETE | {"offset": None}], 'line 3: append 1 succeeded but has no "offset"'),
        ([INVOKE, COMPLETE | {"time": 1.0}], "line 3: operation 1 completes at 1, before its invocation"),
        ([INVOKE, COMPLETE, COMPLETE], "line 4: operation 1 completes twice"),
        ([COMPLETE], "line 2: operation 1 completes but was not invoked before"),
        ([INVOKE, INVOKE], "line 3: operation 1 is invoked twice"),
        ([INVOKE, INVOKE | {"op": 2}], "line 3: record c1-1 is appended by two operations"),
        ([SCAN, SCANNED | {"records": [["c1-1"]]}], 'line 3: "records" must hold pairs'),
        ([CHUNK, CHUNK | {"handle": 8}], "line 3: chunk 0 of /log is described twice"),
        ([CHUNK, CHUNK | {"index": 1}], "line 3: handle 7 stands for two chunks"),
        (
            [CHUNK | {"replicas": ["cs1", "cs1"]}],
            'line 2: "replicas" must be a list of different server names',
        ),
        ([GRANT | {"primary": None}], 'line 2: "primary" must be a string'),
        (
            [GRANT | {"secondaries": ["cs2", 3]}],
            'line 2: "secondaries" must be a list of different server names',
        ),
        ([HELD | {"offset": -1}], 'line 2: "offset" must be an integer of at least 0'),
        ([REPLICA, REPLICA], "line 3: the replica of handle 7 on cs1 is dumped twice"),
        ([segments([0, 200, "hole", ""])], 'line 2: "segments" must hold [start, length, kind, content]'),
        ([segments([0, 200, "padding", ""], [100, 200, "padding", ""])], "line 2: segments of the replica"),
        ([segments([0, 100, "padding", ""], [200, 100, "padding", ""])], "leave a gap at offset 100"),
        ([segments([0, 100, "padding", ""], [50, 250, "padding", ""])], "overlap at offset 50"),
        ([segments([0, 0, "padding", ""])], "is not longer than 0 bytes"),
        ([segments([0, 100, "padding", ""])], "end at 100, but its length is 300"),
    ],
)
def test_malformed_line_is_named(rows: list[dict[str, object] | str], complaint: str) -> None:
    with pytest.raises(HistoryError) as caught:
        parse(*rows)
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_history_must_begin_with_meta() -> None:
    with pytest.raises(HistoryError, match="line 1: the history must begin with a meta object"):
        History.parse([json.dumps(INVOKE)])
    with pytest.raises(HistoryError, match="line 1: the history is empty"):
        History.parse(["", "\n"])
    with pytest.raises(HistoryError, match="version 1 of the format only"):
        History.parse([META_LINE.replace('"version":1', '"version":2')])


def test_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match="absent"):
        History.load(tmp_path / "absent.jsonl")
    (tmp_path / "binary.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(HistoryError, match="not UTF-8"):
        History.load(tmp_path / "binary.jsonl")
    (tmp_path / "wrong.jsonl").write_text(META_LINE + "\nnonsense\n")
    with pytest.raises(HistoryError, match=r"wrong\.jsonl: line 2"):
        History.load(tmp_path / "wrong.jsonl")


def test_recorder_mistakes_count_events() -> None:
    with pytest.raises(HistoryError, match="event 1: operation 9 completes but was not invoked"):
        History.of(META, [Complete(OpId(9), 1.0, Outcome.OK)])

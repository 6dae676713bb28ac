"""What the journal of the network shows of replicas (harness/wire.py): leases offered, and who had which record."""

from __future__ import annotations

from typing import Any

import pytest

from harness import records
from harness.history import Grant, Handle, Held, RecordId
from harness.network.frame import GLIMPSE, REPLY, REQUEST, Frame
from harness.wire import replicas_seen

RECORD = records.frame(3, 5, records.body(3, 5, 100))
NAMED = {"data_id": "d", "offset": 0, "total": len(RECORD), "chain": []}
APPLY = {"handle": 7, "version": 2, "serial": 1, "offset": 200, "data_id": "d", "overwrite": False}
LEASE = {"handle": 7, "version": 2, "until": 60.0, "secondaries": ["cs2", "cs3"]}
HELD = Held(4.0, Handle(7), 2, "cs2", 200, RecordId("3-5"))


def request(method: str, args: Any, time: float, number: int, payload: bytes = b"", to: str = "cs2") -> Frame:
    header = {"xid": [1, number], "method": method, "args": args}
    return Frame(REQUEST, "other", to, header, 100, number, time, payload[:GLIMPSE])


def reply(method: str, time: float, number: int, error: Any = None, by: str = "cs2") -> Frame:
    frame = Frame(REPLY, by, "other", {"xid": [1, number], "result": {}, "error": error}, 100, number, time)
    frame.method = method
    return frame


def pushed(payload: bytes = RECORD, **changes: Any) -> Frame:
    return request("push", NAMED | changes, 1.0, 1, payload)


def applied(**changes: Any) -> list[Frame]:
    return [request("apply", APPLY | changes, 3.0, 2), reply("apply", 4.0, 2)]


def held(*frames: Frame) -> list[Held]:
    return [one for one in replicas_seen(frames) if isinstance(one, Held)]


def test_a_lease_is_offered_once_however_often_it_is_sent() -> None:
    offers = [request("grant_lease", LEASE, time, number) for number, time in enumerate((1.0, 2.0))]
    assert replicas_seen(offers) == [Grant(1.0, Handle(7), 2, "cs2", ("cs2", "cs3"))]


def test_a_yes_to_a_mutation_shows_that_the_server_has_the_record() -> None:
    assert held(pushed(), *applied()) == [HELD]


def test_it_counts_once_from_the_first_time_and_though_the_answer_is_lost() -> None:
    again = [request("apply", APPLY, 5.0, 3), reply("apply", 6.0, 3)]
    frames = [pushed(), *applied(), *again]
    frames[2].fate = "dropped"
    assert held(*frames) == [HELD]


@pytest.mark.parametrize(
    "frames",
    [
        [pushed(), applied()[0]],
        [pushed(), applied()[1]],
        [pushed(), applied()[0], reply("apply", 4.0, 2, {"code": "stale_version"})],
        [pushed(), applied()[0], reply("apply", 4.0, 9)],
        applied(),
        [pushed(RECORD[:10]), *applied()],
        [pushed(b"not a record of anybody, though it is long enough"), *applied()],
        [pushed(total=len(RECORD) + 1), *applied()],
        [pushed(offset=1), *applied()],
        [pushed(), pushed(records.frame(3, 6, records.body(3, 6, 100))), *applied()],
        [pushed(), *applied(data_id=None)],
        [pushed(), *applied(overwrite=True)],
        [pushed(), *applied(offset="200")],
    ],
    ids=(
        "no answer",
        "no question",
        "refused",
        "another answer",
        "data of nobody",
        "too short a glimpse",
        "no record",
        "more than a record",
        "not its beginning",
        "one name for two records",
        "padding",
        "a plain write",
        "nonsense",
    ),
)
def test_what_is_not_certain_is_not_told(frames: list[Frame]) -> None:
    assert held(*frames) == []


@pytest.mark.parametrize("method", ["clone_chunk", "create_chunk"])
def test_a_replica_that_is_made_anew_has_nothing_of_what_was_there(method: str) -> None:
    anew = request(method, {"handle": 7, "version": 3}, 8.0, 4)
    assert held(pushed(), *applied(), anew) == []
    assert held(pushed(), anew, *applied()) == [HELD]
    assert held(pushed(), *applied(), request(method, {"handle": 8}, 8.0, 4)) == [HELD]
    assert held(pushed(), *applied(), request(method, {"handle": 7}, 8.0, 4, to="cs3")) == [HELD]


def test_nonsense_from_a_node_is_no_evidence_and_no_error() -> None:
    methods = ("push", "apply", "grant_lease", "clone_chunk")
    frames = [request(method, args, 1.0, 1) for method in methods for args in (None, [], {}, {"handle": []})]
    assert replicas_seen(frames) == []

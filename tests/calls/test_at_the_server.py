"""Lab 1's reference: at most once, at the server."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from labkit.errors import (
    Forgotten,
    HandlerFailed,
    SessionLost,
)
from tests.calls.nodes import CLOCK, Counter, Node, echo


def test_a_duplicate_of_an_answered_call_gets_the_same_answer_and_does_not_run(nodes: Node) -> None:
    count = Counter()
    nodes.server({"count": count})
    epoch = nodes.epoch()
    streams = [nodes.stream(), nodes.stream()]
    for stream in (streams[0], streams[0], streams[1]):
        nodes.ask(stream, epoch=epoch)
        assert nodes.answer(stream) == {"xid": [7, 1], "result": 1}
    assert count.runs == 1


def test_a_duplicate_of_a_running_call_waits_for_its_answer(nodes: Node) -> None:
    count = Counter()
    count.hold.clear()
    nodes.server({"count": count})
    epoch = nodes.epoch()
    first, second = nodes.stream(), nodes.stream()
    nodes.ask(first, epoch=epoch)
    assert count.entered.wait(5)
    nodes.ask(second, epoch=epoch)
    with pytest.raises(nodes.lab.stream.DeadlinePassed):
        second.receive(CLOCK.now() + 0.05)
    count.hold.set()
    assert nodes.answer(first) == nodes.answer(second) == {"xid": [7, 1], "result": 1}
    assert count.runs == 1


def test_a_late_duplicate_of_an_acknowledged_call_is_refused(nodes: Node) -> None:
    count = Counter()
    nodes.server({"count": count})
    epoch, stream = nodes.epoch(), nodes.stream()
    nodes.ask(stream, epoch=epoch)
    nodes.answer(stream)
    nodes.ask(stream, seq=2, ack=1, epoch=epoch)
    nodes.answer(stream)
    nodes.ask(stream, epoch=epoch)
    assert nodes.answer(stream)["error"]["code"] == Forgotten.code
    assert count.runs == 2


def test_a_duplicate_that_waits_is_refused_when_its_client_gives_the_call_up(nodes: Node) -> None:
    count = Counter()
    count.hold.clear()
    nodes.server({"count": count, "echo": echo})
    epoch = nodes.epoch()
    first, second, third = nodes.stream(), nodes.stream(), nodes.stream()
    nodes.ask(first, epoch=epoch)
    assert count.entered.wait(5)
    nodes.ask(second, epoch=epoch)
    nodes.ask(third, "echo", seq=2, ack=1, epoch=epoch)
    nodes.answer(third)
    count.hold.set()
    assert nodes.answer(second)["error"]["code"] == Forgotten.code
    assert count.runs == 1


def test_an_error_is_an_answer_and_does_not_run_again(nodes: Node) -> None:
    runs: list[int] = []

    def fail() -> None:
        runs.append(1)
        raise OSError("the disk")

    nodes.server({"count": fail})
    epoch, stream = nodes.epoch(), nodes.stream()
    for _ in range(2):
        nodes.ask(stream, epoch=epoch)
        assert nodes.answer(stream)["error"]["code"] == HandlerFailed.code
    assert len(runs) == 1


def test_a_stored_answer_does_not_change_with_the_handlers_buffer(nodes: Node) -> None:
    data = bytearray(b"then")
    nodes.server({"read": lambda: nodes.lab.rpc.Reply(None, data)})
    epoch, stream = nodes.epoch(), nodes.stream()
    for _ in range(2):
        nodes.ask(stream, "read", epoch=epoch)
        assert stream.receive(CLOCK.now() + 5)[1] == b"then"
        data[:] = b"now!"


def test_best_effort_runs_every_time_it_arrives(nodes: Node) -> None:
    count = Counter()
    nodes.server({"count": count})
    stream = nodes.stream()
    for run in (1, 2):
        nodes.ask(stream)
        assert nodes.answer(stream)["result"] == run


def test_another_epoch_is_refused(nodes: Node) -> None:
    count = Counter()
    nodes.server({"count": count})
    stream = nodes.stream()
    nodes.ask(stream, epoch=nodes.epoch() ^ 1)
    assert nodes.answer(stream)["error"]["code"] == SessionLost.code
    assert count.runs == 0


def test_each_start_has_its_own_epoch(nodes: Node) -> None:
    nodes.server({}).stop()
    first = nodes.server({})
    before = nodes.epoch()
    first.stop()
    nodes.server({})
    assert nodes.epoch() != before


GOOD = {"method": "count", "args": {}, "xid": [1, 1], "ack": 0, "epoch": None}


@pytest.mark.parametrize(
    "change",
    [
        {"method": 3},
        {"args": []},
        {"xid": 1},
        {"xid": [1]},
        {"xid": [1, "1"]},
        {"xid": [1, True]},
        {"ack": None},
        {"epoch": "e"},
        *({key: KeyError} for key in GOOD),
    ],
    ids=repr,
)
def test_a_malformed_request_costs_only_its_connection(nodes: Node, change: dict[str, Any]) -> None:
    nodes.server({"count": Counter()})
    good, bad = nodes.stream(), nodes.stream()
    header = {key: value for key, value in {**GOOD, **change}.items() if value is not KeyError}
    bad.send(nodes.lab.wire.encode(header))
    assert bad.receive(CLOCK.now() + 5) is None
    nodes.ask(good)
    assert nodes.answer(good)["result"] == 1


def test_rubbish_costs_only_its_connection(nodes: Node) -> None:
    nodes.server({"count": Counter()})
    good = nodes.stream()
    for rubbish in (b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 8, struct.pack(">II", 1, 0) + b"\x01"):
        with nodes.context("raw").network.connect("server") as sock:
            sock.sendall(rubbish)
            sock.settimeout(5)
            assert sock.recv(1) == b""
    nodes.ask(good)
    assert nodes.answer(good)["result"] == 1


def test_keys_nobody_knows_are_ignored(nodes: Node) -> None:
    nodes.server({"count": Counter()})
    stream = nodes.stream()
    stream.send(nodes.lab.wire.encode({**GOOD, "color": "red"}))
    assert nodes.answer(stream)["result"] == 1

"""Lab 1's reference: at most once, at the client."""

from __future__ import annotations

import socket
import time

import pytest

from labkit.errors import (
    CallTimeout,
    ConnectionLost,
    MalformedFrame,
    SessionLost,
    Unreachable,
)
from tests.calls.nodes import CLOCK, MEGABYTE, Counter, Node, Script, echo, eventually, start


def test_a_request_without_answer_is_sent_again_with_the_same_xid(nodes: Node) -> None:
    script = Script(nodes)
    call = start(nodes, nodes.client(first_timeout=0.05), "server", "m", {"a": 1}, b"payload")
    stream = script.accept()
    first, second = script.next(stream), script.next(stream)
    assert first == second
    script.reply(stream, second, "done")
    assert call.result(5).value == "done"


def test_a_request_on_a_broken_connection_is_sent_again_on_another(nodes: Node) -> None:
    script = Script(nodes)
    call = start(nodes, nodes.client(first_timeout=0.05), "server", "m")
    stream = script.accept()
    first = script.next(stream)
    stream.close()
    stream = script.accept()
    second = script.next(stream)
    assert (second.client, second.seq, second.epoch) == (first.client, first.seq, first.epoch)
    script.reply(stream, second, "done")
    assert call.result(5).value == "done"


def test_answers_to_other_calls_are_skipped(nodes: Node) -> None:
    script = Script(nodes)
    call = start(nodes, nodes.client(), "server", "m")
    stream = script.accept()
    request = script.next(stream)
    script.reply_to(stream, [request.client, request.seq + 1], "of another call")
    script.reply_to(stream, [request.client ^ 1, request.seq], "of another client")
    script.reply(stream, request, "mine")
    assert call.result(5).value == "mine"


def test_a_malformed_answer_breaks_the_connection_not_the_call(nodes: Node) -> None:
    script = Script(nodes)
    call = start(nodes, nodes.client(first_timeout=0.05), "server", "m")
    stream = script.accept()
    request = script.next(stream)
    stream.send(nodes.lab.wire.encode({"xid": [request.client, request.seq]}))
    stream = script.accept()
    script.reply(stream, script.next(stream), "done")
    assert call.result(5).value == "done"


def test_nobody_there_is_unreachable_and_definite(nodes: Node) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        nodes.ports["server"] = unused.getsockname()[1]
    client = nodes.client(first_timeout=0.01, attempts=3)
    for server in ("server", "nobody"):
        with pytest.raises(Unreachable) as caught:
            client.call(server, "m")
        assert caught.value.definite


def test_a_server_that_comes_up_late_is_found(nodes: Node) -> None:
    call = start(nodes, nodes.client(first_timeout=0.02, attempts=10, longest=0.05), "server", "echo")
    time.sleep(0.05)
    nodes.server({"echo": echo})
    assert call.result(5).value is None


def test_no_answer_to_hello_is_definite(nodes: Node) -> None:
    Script(nodes)
    with pytest.raises(Unreachable) as caught:
        nodes.client(first_timeout=0.02, attempts=2).call("server", "m")
    assert caught.value.definite


def test_no_answer_is_a_timeout_and_not_definite(nodes: Node) -> None:
    script = Script(nodes)
    call = start(nodes, nodes.client(first_timeout=0.2, factor=1, attempts=3), "server", "m")
    stream = script.accept()
    requests = [script.next(stream) for _ in range(3)]
    assert requests[0] == requests[1] == requests[2]
    with pytest.raises(CallTimeout) as caught:
        call.result(5)
    assert not caught.value.definite


def test_a_connection_that_keeps_breaking_is_not_definite(nodes: Node) -> None:
    script = Script(nodes)
    call = start(nodes, nodes.client(first_timeout=0.02, attempts=2), "server", "m")
    for _ in range(2):
        stream = script.accept()
        script.next(stream)
        stream.close()
    with pytest.raises(ConnectionLost) as caught:
        call.result(5)
    assert not caught.value.definite


def test_a_server_that_does_not_read_does_not_hold_the_caller(nodes: Node) -> None:
    script = Script(nodes)
    client = nodes.client(first_timeout=0.05, attempts=2)
    call = start(nodes, client, "server", "m", None, MEGABYTE * 8, at_most_once=False)
    script.accept()
    with pytest.raises(Unreachable):
        call.result(5)  # never sent as a whole, so it surely did not run


def test_a_request_cut_by_its_deadline_goes_over_another_connection(nodes: Node) -> None:
    script = Script(nodes)
    client = nodes.client(first_timeout=0.05, factor=4.0, attempts=6)
    call = start(nodes, client, "server", "m", None, MEGABYTE * 8, at_most_once=False)
    unread = script.accept()
    while True:
        stream = script.accept()
        try:
            request = script.next(stream)
        except MalformedFrame:  # this machine was too slow for the attempt: the next one is longer
            continue
        break
    script.reply(stream, request, len(request.payload))
    assert call.result(5).value == len(MEGABYTE) * 8
    with pytest.raises(MalformedFrame):
        unread.receive(CLOCK.now() + 5)


def test_a_connection_that_owes_an_answer_is_not_used_again(nodes: Node) -> None:
    script = Script(nodes)
    client = nodes.client(first_timeout=0.05, longest=5.0, factor=100.0)
    call = start(nodes, client, "server", "m")
    stream = script.accept()
    script.next(stream)
    script.reply(stream, script.next(stream), "first")
    assert call.result(5).value == "first"
    call = start(nodes, client, "server", "m", policy=nodes.lab.rpc.RetryPolicy(first_timeout=5.0))
    fresh = script.accept()
    script.reply(fresh, script.next(fresh), "second")
    assert call.result(5).value == "second"


def test_a_call_sent_once_to_a_restarted_server_is_sent_anew(nodes: Node) -> None:
    script = Script(nodes)
    call = start(nodes, nodes.client(), "server", "m")
    stream = script.accept()
    request = script.next(stream, epoch=5)
    script.reply(stream, request, SessionLost())
    again = script.next(stream, epoch=6)
    assert (request.epoch, again.epoch) == (5, 6)
    script.reply(stream, again, "done")
    assert call.result(5).value == "done"


def test_a_call_sent_twice_is_not_run_by_a_restarted_server(nodes: Node) -> None:
    script = Script(nodes)
    call = start(nodes, nodes.client(first_timeout=0.05), "server", "m")
    stream = script.accept()
    script.next(stream, epoch=5)
    stream.close()
    stream = script.accept()
    again = script.next(stream, epoch=6)
    assert again.epoch == 5, "the epoch of its first transmission"
    script.reply(stream, again, SessionLost())
    with pytest.raises(SessionLost) as caught:
        call.result(5)
    assert not caught.value.definite


def test_a_call_keeps_its_epoch_when_another_call_learns_a_newer_one(nodes: Node) -> None:
    script = Script(nodes)
    client = nodes.client(first_timeout=0.3)
    doubtful = start(nodes, client, "server", "m")
    stream = script.accept()
    assert script.next(stream, epoch=5).epoch == 5
    other = start(nodes, client, "server", "m")
    second = script.accept()
    script.reply(second, script.next(second), SessionLost())
    again = script.next(second, epoch=6)
    script.reply(second, again, "done")
    assert (again.epoch, other.result(5).value) == (6, "done")
    repeated = script.next(stream)
    assert repeated.epoch == 5, "the first transmission may have run in the life of epoch 5"
    script.reply(stream, repeated, "answered after all")
    assert doubtful.result(5).value == "answered after all"


def test_the_call_after_a_lost_session_uses_the_new_epoch(nodes: Node) -> None:
    count = Counter()
    server = nodes.server({"count": count})
    client = nodes.client(first_timeout=0.05)
    assert client.call("server", "count").value == 1
    for runs in (2, 3):
        server.stop()
        server = nodes.server({"count": count})
        assert client.call("server", "count").value == runs


def test_a_call_cut_by_a_crash_and_restart_runs_once_and_says_so(nodes: Node) -> None:
    count = Counter()
    count.hold.clear()
    server = nodes.server({"count": count})
    call = start(nodes, nodes.client(first_timeout=0.05, attempts=8), "server", "count")
    assert count.entered.wait(5)
    stopping = nodes.pool.submit(server.stop)
    eventually(lambda: server._stopping, "the server stops")
    nodes.server({"count": count})
    with pytest.raises(SessionLost):
        call.result(5)
    count.hold.set()
    stopping.result(5)
    assert count.runs == 1


def test_a_call_given_up_is_acknowledged(nodes: Node) -> None:
    script = Script(nodes)
    client = nodes.client(first_timeout=0.05, attempts=1)
    call = start(nodes, client, "server", "m")
    lost = script.next(script.accept())
    with pytest.raises(CallTimeout):
        call.result(5)
    call = start(nodes, client, "server", "m")
    stream = script.accept()
    request = script.next(stream)
    assert (lost.ack, request.ack) == (lost.seq - 1, request.seq - 1)
    script.reply(stream, request, None)
    call.result(5)


def test_a_call_in_flight_is_not_acknowledged(nodes: Node) -> None:
    script = Script(nodes)
    client = nodes.client()
    first = start(nodes, client, "server", "m")
    stream = script.accept()
    held = script.next(stream)
    second = start(nodes, client, "server", "m")
    other = script.accept()
    request = script.next(other)
    assert request.ack < held.seq < request.seq
    for pair in ((other, request, "second"), (stream, held, "first")):
        script.reply(*pair)
    assert (first.result(5).value, second.result(5).value) == ("first", "second")


def test_clients_never_share_an_id(nodes: Node) -> None:
    script, ids = Script(nodes), set[int]()
    for _ in range(3):
        call = start(nodes, nodes.client(), "server", "m", at_most_once=False)
        stream = script.accept()
        request = script.next(stream)
        assert (request.epoch, request.ack) == (None, 0)
        ids.add(request.client)
        script.reply(stream, request, None)
        call.result(5)
    assert len(ids) == 3

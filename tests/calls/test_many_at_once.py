"""Lab 1's reference: many at once, and the end."""

from __future__ import annotations

import socket
import sys
import threading

import pytest

from labkit.errors import (
    CallTimeout,
    ConnectionLost,
    Unreachable,
)
from tests.calls.nodes import CLOCK, Counter, Node, Script, echo, eventually, start


def test_threads_share_a_client_and_every_call_runs_once(nodes: Node) -> None:
    count = Counter()
    server = nodes.server({"count": count})
    client = nodes.client(first_timeout=5.0)

    def many() -> list[int]:
        return [client.call("server", "count").value for _ in range(50)]

    values = [value for future in [nodes.pool.submit(many) for _ in range(8)] for value in future.result(20)]
    assert sorted(values) == list(range(1, 401))
    assert len(server._table) <= 8, "the answers of finished calls were acknowledged"


def test_calls_in_sequence_share_one_connection(nodes: Node) -> None:
    script = Script(nodes)
    client = nodes.client()
    call = start(nodes, client, "server", "m")
    stream = script.accept()
    for _ in range(3):
        script.reply(stream, script.next(stream), None)
        call.result(5)
        call = start(nodes, client, "server", "m")
    script.reply(stream, script.next(stream), None)
    call.result(5)


def test_a_slow_call_holds_up_nobody(nodes: Node) -> None:
    count = Counter()
    count.hold.clear()
    nodes.server({"count": count, "echo": echo})
    client = nodes.client(first_timeout=5.0)
    slow = start(nodes, client, "server", "count")
    assert count.entered.wait(5)
    assert client.call("server", "echo", {"value": 1}).value == 1
    count.hold.set()
    assert slow.result(5).value == 1


def test_stop_ends_connections_and_threads(nodes: Node) -> None:
    before = set(threading.enumerate())
    server = nodes.server({"echo": echo})
    streams = [nodes.stream() for _ in range(3)]
    client = nodes.client(first_timeout=0.01, attempts=2)
    client.call("server", "echo")
    server.stop()
    assert set(threading.enumerate()) <= before
    assert all(stream.receive(CLOCK.now() + 5) is None for stream in streams)
    with pytest.raises(Unreachable):
        client.call("server", "echo")
    server.stop()


def test_stop_does_not_wait_for_ever_and_wakes_waiting_duplicates(
    nodes: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["rpc.server"], "STOP_PATIENCE", 0.1)
    count = Counter()
    count.hold.clear()
    server = nodes.server({"count": count})
    epoch = nodes.epoch()
    first, second = nodes.stream(), nodes.stream()
    nodes.ask(first, epoch=epoch)
    assert count.entered.wait(5)
    nodes.ask(second, epoch=epoch)
    eventually(lambda: len(server._threads) >= 3, "both connections are served")
    server.stop()
    assert second.receive(CLOCK.now() + 5) is None
    eventually(lambda: len(server._threads) == 1, "only the handler that is held still runs")
    count.hold.set()
    eventually(lambda: not server._threads, "then nothing runs")


def test_a_handler_may_stop_its_server(nodes: Node) -> None:
    server = nodes.server({"halt": lambda: server.stop()})
    with pytest.raises((ConnectionLost, CallTimeout, Unreachable)):
        nodes.client(first_timeout=0.05, attempts=1).call("server", "halt", at_most_once=False)
    eventually(lambda: not server._threads, "its threads end")


def test_a_connection_accepted_while_the_server_stops_is_broken(nodes: Node) -> None:
    server = nodes.server({})
    server.stop()
    ours, theirs = socket.socketpair()
    stream = nodes.lab.stream.FrameStream(ours, CLOCK)
    server._spawn(lambda: server._serve(stream), stream, "late")
    with theirs:
        theirs.settimeout(5)
        assert theirs.recv(1) == b""
    eventually(lambda: not server._threads, "its thread ends")


def test_a_server_starts_once(nodes: Node) -> None:
    server = nodes.server({})
    with pytest.raises(RuntimeError):
        server.start()
    server.stop()
    with pytest.raises(RuntimeError):
        server.start()


def test_close_ends_calls_that_wait_for_an_answer(nodes: Node) -> None:
    script = Script(nodes)
    client = nodes.client(first_timeout=60)
    call = start(nodes, client, "server", "m")
    script.next(script.accept())
    client.close()
    with pytest.raises(ConnectionLost):
        call.result(5)
    with pytest.raises(Unreachable):
        client.call("server", "m")


def test_a_closed_client_calls_nobody_new(nodes: Node) -> None:
    nodes.server({"echo": echo})
    client = nodes.client()
    client.close()
    with pytest.raises(Unreachable):
        client.call("server", "echo")


def test_close_ends_calls_that_pause_between_attempts(nodes: Node) -> None:
    client = nodes.client(first_timeout=60)
    call = start(nodes, client, "nobody", "m")
    eventually(lambda: bool(client._peers), "the call has begun")
    client.close()
    with pytest.raises(Unreachable):
        call.result(5)

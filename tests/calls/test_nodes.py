"""Lab 1's reference: calls between nodes, and what becomes of errors."""

from __future__ import annotations

from typing import Any

import pytest

from labkit.errors import (
    BadArguments,
    HandlerFailed,
    NoSuchFile,
    RemoteError,
    SessionLost,
    UnknownMethod,
)
from tests.calls.nodes import MEGABYTE, Node, echo


def test_values_and_payloads_go_both_ways(nodes: Node) -> None:
    nodes.server({"echo": echo})
    client = nodes.client()
    value = {"list": [1, -2, 2**63, 0.5, None, True], "bytes": b"\x00", "text": "ü"}
    for payload in (b"", b"small", MEGABYTE):
        for at_most_once in (True, False):
            reply = client.call("server", "echo", {"value": value}, payload, at_most_once=at_most_once)
            assert (reply.value, reply.payload) == (value, payload)


def test_a_plain_result_needs_no_reply_object(nodes: Node) -> None:
    nodes.server({"add": lambda a, b: a + b})
    assert nodes.client().call("server", "add", {"a": 1, "b": 2}).value == 3


def test_an_error_arrives_as_its_own_class(nodes: Node) -> None:
    def refuse() -> None:
        raise NoSuchFile("/a", data={"path": "/a"})

    nodes.server({"refuse": refuse})
    with pytest.raises(NoSuchFile) as caught:
        nodes.client().call("server", "refuse")
    assert (caught.value.message, caught.value.data, caught.value.definite) == ("/a", {"path": "/a"}, True)


def type_error_inside() -> None:
    len(3)  # pyright: ignore[reportArgumentType]


def lost_elsewhere() -> None:
    raise SessionLost("of a call that the handler made")


@pytest.mark.parametrize(
    ("method", "args", "payload", "error", "definite"),
    [
        ("nothing", {}, b"", UnknownMethod, True),
        ("echo", {"other": 1}, b"", BadArguments, True),
        ("echo", {"payload": b"x"}, b"y", BadArguments, True),
        ("add", {"a": 1}, b"", BadArguments, True),
        ("add", {"a": 1, "b": 2}, b"payload", BadArguments, True),
        ("inside", {}, b"", HandlerFailed, False),
        ("unsendable", {}, b"", HandlerFailed, False),
        ("lost", {}, b"", HandlerFailed, False),
    ],
)
def test_every_way_to_fail_has_its_error(
    nodes: Node, method: str, args: Any, payload: bytes, error: type[RemoteError], definite: bool
) -> None:
    handlers = {
        "echo": echo,
        "add": lambda a, b: a + b,
        "inside": type_error_inside,
        "unsendable": object,
        "lost": lost_elsewhere,
    }
    nodes.server(handlers)
    for at_most_once in (True, False):
        with pytest.raises(RemoteError) as caught:
            nodes.client().call("server", method, args, payload, at_most_once=at_most_once)
        assert type(caught.value) is error
        assert caught.value.definite is definite


def test_a_failed_handler_leaves_the_connection_in_use(nodes: Node) -> None:
    nodes.server({"inside": type_error_inside, "echo": echo})
    client = nodes.client()
    with pytest.raises(HandlerFailed):
        client.call("server", "inside")
    assert client.call("server", "echo", {"value": 1}).value == 1


def test_unsendable_arguments_are_refused_before_anything_is_sent(nodes: Node) -> None:
    client = nodes.client()
    for args, payload in (({"a": object()}, b""), ({}, "text")):
        with pytest.raises(TypeError):
            client.call("nowhere", "echo", args, payload)
    nodes.server({"echo": echo})
    assert client.call("server", "echo", {"value": 2}).value == 2

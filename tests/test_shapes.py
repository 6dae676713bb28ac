"""Replies are held against the catalogue, so that a wrong one is a failure in words (harness/shapes.py)."""

from __future__ import annotations

from typing import Any

import pytest

from harness.failures import LabFailure
from harness.network.frame import Frame
from harness.shapes import check_reply, fits, oddity
from labkit.protocol import METHODS

ROWS = "[[handle: int, until: float]]"


SHAPES: list[tuple[str, list[Any], list[Any]]] = [
    ("int", [0, -3, 1 << 63], [None, 1.0, "1", True, [1]]),
    ("float", [0, 1.5], [None, "1", False]),
    ("bool", [True, False], [None, 0, 1, "yes"]),
    ("str", ["", "a"], [None, b"a", 1]),
    ("str?", ["", "a", None], [b"a", 1, False]),
    ("[int]", [[], [1, 2]], [None, 1, [None], ["1"], [True], {"a": 1}]),
    ("[str]", [[], ["a"]], ["a", [b"a"], [[]]]),
    (ROWS, [[], [[1, 2.0], [3, 4]]], [None, [1, 2.0], [[1]], [[1, 2.0, 3]], [["1", 2.0]], [None]]),
]


@pytest.mark.parametrize(("shape", "right", "wrong"), SHAPES)
def test_shapes(shape: str, right: list[Any], wrong: list[Any]) -> None:
    assert [value for value in right if not fits(value, shape)] == []
    assert [value for value in wrong if fits(value, shape)] == []


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_every_shape_of_the_catalogue_is_known(method: Any) -> None:
    for shape in (*method.args.values(), *method.reply.values()):
        fits(None, shape)


@pytest.mark.parametrize(
    ("result", "says", "seen"),
    [
        (None, "cs1 answered stat with no map", "None"),
        ([1], "cs1 answered stat with no map", r"\[1\]"),
        ({}, "cs1 answered stat without chunks", "{}"),
        ({"chunk": 1}, "cs1 answered stat without chunks", "{'chunk': 1}"),
        ({"chunks": "one"}, "cs1 answered stat with a chunks that is no int", "{'chunks': 'one'}"),
        ({"chunks": "x" * 10_000}, "cs1 answered stat with a chunks that is no int", "{'chunks': 'xxx"),
    ],
)
def test_a_wrong_reply_is_a_failure_in_words(result: Any, says: str, seen: str) -> None:
    with pytest.raises(LabFailure, match=says) as failure:
        check_reply("cs1", "stat", result)
    assert failure.value.expected == "a map with chunks: int (docs/protocol.md)"
    assert len(failure.value.seen or "") < 300


@pytest.mark.parametrize(
    ("kind", "header", "says"),
    [
        ("request", {"method": "stat", "args": {"path": "/f"}}, ""),
        ("request", {"method": "stat", "args": {"path": 1}}, "a request for stat with a path that is no str"),
        ("request", {"method": "stat", "args": {}}, "a request for stat without path"),
        ("request", {"method": "stat"}, "a request for stat without args"),
        ("request", {"method": "add", "args": {"key": 1}}, ""),
        ("request", {"method": "add", "args": [1]}, "a request for add without args"),
        ("reply", {"method": "stat", "result": {"chunks": 1}}, ""),
        (
            "reply",
            {"method": "stat", "result": {"chunks": None}},
            "a reply to stat with a chunks that is no int",
        ),
        ("reply", {"method": "stat", "result": None}, "a reply to stat without result"),
        ("reply", {"method": "echo", "result": None}, ""),
        ("reply", {"method": "echo", "result": 7}, ""),
        ("reply", {"method": "echo"}, "a reply to echo without result"),
        ("reply", {"method": "stat", "error": {"code": "no_such_file"}}, ""),
    ],
)
def test_what_is_odd_about_a_message(kind: str, header: dict[str, Any], says: str) -> None:
    words = oddity(Frame(kind, "a", "b", header, 100, 1, 0.0))
    assert words == (f"a sent b {says}" if says else "")


def test_a_right_reply_may_hold_more() -> None:
    assert check_reply("cs1", "stat", {"chunks": 1, "mine": 2}) == {"chunks": 1, "mine": 2}
    assert check_reply("cs1", "create", {}) == {}

"""Lab 1 part A: every kind of value, and none of any other kind."""

from __future__ import annotations

from typing import Any

from harness.cluster import CallRefused, Cluster
from harness.drivers.odd_values import ODD_VALUES
from harness.failures import LabFailure
from harness.grading import claim, expect
from harness.network.frame import Decoder, encode


def nested(depth: int) -> list[Any]:
    return [nested(depth - 1)] if depth else []


VALUES: dict[str, Any] = {
    "nothing": None,
    "truth": [True, False],
    "the integers of 64 bits at both ends": [0, -1, 127, 128, 2**32, 2**63 - 1, 2**63, 2**64 - 1, -(2**63)],
    "floats": [0.0, -0.0, 1.5, 1e300, 5e-324, float("inf"), 2.0],
    "text": ["", "Grüße", "\u65e5\u672c \U0001f409", "a\x00b", "x" * 70_000],
    "bytes that are no text": [b"", b"\xff\xfe\x00", bytes(range(256))],
    "lists in lists": [[], [[]], [1, [2, [3, [4]]]], list(range(1000))],
    "lists 41 deep": nested(40),
    "maps in maps": {"": {}, "a": {"b": {"c": [{"d": None}]}}, "Schlüssel": 1},
    "many things at once": {
        "args": {"path": "/a", "chunks": [{"handle": 2**63, "at": [0.5, b"\x01", None, True]}]}
    },
}
PAYLOAD = bytes(range(256)) * 16


@claim(
    "Every kind of value comes through unchanged, beside a bulk payload, and no other value is sent at all",
    hint="labkit.codec packs the right kinds and refuses the others in words: let its ValueError or TypeError pass",
    read="labs/01_rpc/README.md#part-a-marshal-and-frame",
)
def test_values_of_every_kind(cluster: Cluster) -> None:
    cluster.add("node", "frames")
    cluster.start("node")
    for what, value in VALUES.items():
        header = {"xid": [1, 2], "value": value}
        made = cluster.call("node", "encode", header=header, payload=PAYLOAD)
        try:
            read = Decoder().feed(made)
        except ValueError as error:
            raise LabFailure(f"{what}: no other node can read what was encoded", seen=str(error)) from error
        check_same(read, header, f"{what}, encoded here and read by another node,")
        report = cluster.call("node", "feed", data=encode(header, PAYLOAD), sizes=[1 << 20])
        expect(not report["error"], f"{what}: a good frame was called malformed", seen=report["error"])
        frames = [(frame["header"], frame["payload"]) for frame in report["frames"]]
        check_same(frames, header, f"{what}, sent by another node and read here,")
    for what in ODD_VALUES:
        try:
            size = cluster.call("node", "encode_odd", what=what)
        except CallRefused as refused:
            expect(
                refused.type in ("ValueError", "TypeError"),
                f"{what} was not refused clearly",
                expected="ValueError or TypeError, before anything is sent",
                seen=refused.message,
            )
        else:
            raise LabFailure(
                f"{what} was encoded",
                expected="ValueError or TypeError: only what every node can read may be sent",
                seen=f"a frame of {size} bytes",
                why="what the other side makes of it is not what was meant, and nobody will notice",
            )


def check_same(frames: list[tuple[dict[str, Any], bytes]], header: dict[str, Any], what: str) -> None:
    """By repr: True is not 1, 2.0 is not 2, and -0.0 is not 0.0."""
    expect(
        [(repr(one), payload) for one, payload in frames] == [(repr(header), PAYLOAD)],
        f"{what} came out changed",
        expected=f"{repr(header)[:300]} and a payload of {len(PAYLOAD)} bytes",
        seen=[f"{repr(one)[:300]} and a payload of {len(payload)} bytes" for one, payload in frames]
        or "no whole frame",
    )

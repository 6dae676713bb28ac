"""Lab 1 part A: strangers on real sockets, seen from outside the node."""

from __future__ import annotations

import random
import struct
from contextlib import ExitStack

from harness.calls import IMPATIENT
from harness.cluster import Cluster
from harness.failures import LabFailure
from harness.grading import claim, expect
from harness.network.frame import encode
from harness.network.raw import RawConnection, RawPeer
from harness.outside import reserved
from labkit.protocol import MAX_HEADER, MAX_PAYLOAD

MEGABYTE = 1 << 20
PROMISES = 32  # connections that announce the largest frame there may be: 2 GiB together
ALLOWED = 512 * MEGABYTE  # a quarter of what was announced


def rubbish(rng: random.Random) -> dict[str, bytes]:
    honest = encode({"x": 1})[8:]
    return {
        "a header of 4 GiB": struct.pack(">II", 0xFFFFFFFF, 0),
        "a payload of 4 GiB": struct.pack(">II", len(honest), 0xFFFFFFFF) + honest,
        "a header one byte too long": struct.pack(">II", MAX_HEADER + 1, 0),
        "a payload one byte too long": struct.pack(">II", len(honest), MAX_PAYLOAD + 1) + honest,
        "no header at all": struct.pack(">II", 0, 100) + bytes(100),
        "another protocol": b"GET / HTTP/1.1\r\nHost: node\r\n\r\n",
        "noise": b"\xff" + rng.randbytes(1000),
        "noise in place of a header": struct.pack(">II", 1000, 0) + b"\xc1" + rng.randbytes(999),
    }


@claim(
    "Whoever lies about a length loses the connection; memory stays bounded, and others are unharmed",
    hint="MalformedFrame as soon as eight bytes are there; for a legal length, a buffer that grows with what arrives",
    read="labs/01_rpc/README.md#part-a-marshal-and-frame",
)
def test_liars_cost_nothing_over_sockets(cluster: Cluster) -> None:
    cluster.add("node", "frames")
    cluster.start("node")
    tester = RawPeer(cluster.network)
    with ExitStack() as stack:
        bystander = stack.enter_context(tester.connect("node"))
        half = encode({"half": 1}, bytes(5000))
        bystander.send(half[:2000])
        promises = [stack.enter_context(tester.connect("node")) for _ in range(PROMISES)]
        before = reserved(cluster, "node")
        for what, data in rubbish(cluster.rng).items():
            with tester.connect("node") as liar:
                liar.send(data)
                expect(
                    liar.closed(IMPATIENT),
                    f"a connection on which came {what} was not given up",
                    expected="MalformedFrame, so that the connection is closed: nothing behind it makes sense",
                    seen=f"still open after {IMPATIENT:g} s of real time",
                )
        honest = encode({"x": 1})[8:]
        for promise in promises:
            promise.send(struct.pack(">II", len(honest), MAX_PAYLOAD) + honest + bytes(100))
        with tester.connect("node") as other:
            check_echo(other, encode({"after": 1}, bytes(100)), "a connection made after the lies")
        # A buffer that is filled with zeros takes its time.
        cluster.await_quiet(lambda: reserved(cluster, "node") - before >= ALLOWED)
        highest = before
        for _ in range(20):
            highest = max(highest, reserved(cluster, "node"))
            bystander_is_there = not bystander.closed(0.005)
            expect(
                bystander_is_there,
                "a connection on which half a frame had come was closed for what others sent",
            )
        expect(
            highest - before < ALLOWED,
            "memory was reserved for bytes that never arrived",
            expected=f"little: {PROMISES} peers announced {MAX_PAYLOAD} bytes each, and sent 100",
            seen=f"{(highest - before) // MEGABYTE} MiB more than before",
            why="a few strangers with twenty bytes each could take all the memory there is",
        )
        bystander.send(half[2000:])
        check_reply(bystander, "a frame whose second half came after the lies")


def check_echo(peer: RawConnection, data: bytes, what: str) -> None:
    peer.send(data)
    check_reply(peer, what)


def check_reply(peer: RawConnection, what: str) -> None:
    try:
        peer.receive(IMPATIENT)
    except LabFailure as failure:
        raise LabFailure(
            f"{what} was not served", seen=failure.message, why="others were lying, not this peer"
        ) from failure

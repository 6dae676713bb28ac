"""Lab 1 part A: marshal and frame. Against the harness's own codec, so that two mistakes cannot cancel out."""

from __future__ import annotations

import struct
from typing import Any

from harness.calls import IMPATIENT
from harness.cluster import Cluster
from harness.failures import LabFailure
from harness.grading import claim, expect
from harness.network.frame import Decoder, encode
from harness.network.raw import RawPeer
from harness.node import CallRefused
from labkit.protocol import MAX_HEADER, MAX_PAYLOAD

Sample = tuple[dict[str, Any], bytes]

SMALL: list[Sample] = [
    ({"xid": [1, 2], "result": None}, b""),
    ({"list": [1, [2.5, True], {"deep": b"\x00\xff"}]}, b"\x00"),
    ({"text": "Grüße", "number": -5, "big": 2**63}, b"some bytes"),
]
LARGE: list[Sample] = [
    ({"long": "h" * 10_000}, b""),
    ({"long": "h" * 300}, bytes(range(256)) * 40),
    ({"x": 1}, bytes(100_000)),
]
MEGABYTE = 1 << 20


def start(cluster: Cluster) -> None:
    cluster.add("node", "frames")
    cluster.start("node")


def feed(cluster: Cluster, data: bytes, sizes: list[int], **options: Any) -> dict[str, Any]:
    return cluster.call("node", "feed", data=data, sizes=sizes, **options)


def check_frames(report: dict[str, Any], wanted: list[Sample], how: str) -> None:
    expect(not report["error"], f"good frames, {how}, were called malformed", seen=report["error"])
    got = [(frame["header"], frame["payload"]) for frame in report["frames"]]
    expect(
        len(got) == len(wanted),
        f"the assembler found the wrong number of frames, {how}",
        expected=len(wanted),
        seen=len(got),
        why="TCP is a stream of bytes: where a send ended is not to be seen at the other side",
    )
    for number, (one, other) in enumerate(zip(got, wanted, strict=True), 1):
        expect(
            one == other,
            f"frame {number} of {len(wanted)}, {how}, came out changed",
            expected=short(other),
            seen=short(one),
        )


def short(sample: Sample) -> str:
    header, payload = repr(sample[0]), repr(sample[1])
    return f"{header[:200]} and a payload of {len(sample[1])} bytes, {payload[:80]}"


@claim(
    "A frame is two lengths, a header in msgpack and a payload, in both directions",
    hint="struct '>II': big-endian, header first; lengths count bytes, not characters",
    read="labs/01_rpc/README.md#part-a-marshal-and-frame",
)
def test_frames_are_laid_out_as_the_protocol_says(cluster: Cluster) -> None:
    start(cluster)
    for header, payload in (*SMALL, *LARGE):
        data = cluster.call("node", "encode", header=header, payload=payload)
        expect(
            len(data) >= 8 and len(data) == 8 + sum(struct.unpack(">II", data[:8])),
            "the two lengths at the start of a frame are not those of what follows",
            expected=f"a frame with {len(payload)} bytes of payload",
            seen=f"{len(data)} bytes that begin with {data[:8].hex(' ')}",
        )
        try:
            frames = Decoder().feed(data)
        except ValueError as error:
            raise LabFailure(f"encode made no frame: {error}", seen=f"it begins {data[:40]!r}") from error
        expect(
            frames == [(header, payload)],
            "another node would not read what was encoded",
            expected=short((header, payload)),
            seen=short(frames[0]) if frames else "no whole frame",
        )
        check_frames(
            feed(cluster, encode(header, payload), [len(data)]), [(header, payload)], "made by another node"
        )
    too_large: list[tuple[str, dict[str, Any]]] = [
        (f"a header of more than {MAX_HEADER} bytes", {"header": {"x": "h" * MAX_HEADER}}),
        (f"a payload of more than {MAX_PAYLOAD} bytes", {"header": {"x": 1}, "zeros": MAX_PAYLOAD + 1}),
    ]
    for what, arguments in too_large:
        try:
            cluster.call("node", "encode", **arguments)
        except CallRefused as refused:
            expect(refused.type == "ValueError", f"{what} is a ValueError", seen=refused.message)
        else:
            raise LabFailure(f"encode made a frame with {what}", why="every receiver would refuse it")


@claim(
    "Frames come out whole however the stream is cut into pieces",
    hint="keep what is left over for the next receive; a frame is there when all its bytes are, not before",
    read="labs/01_rpc/README.md#part-a-marshal-and-frame",
)
def test_frames_survive_every_cut(cluster: Cluster) -> None:
    start(cluster)
    data = b"".join(encode(header, payload) for header, payload in SMALL)
    check_frames(feed(cluster, data, [len(data)]), SMALL, "all in one piece")
    check_frames(feed(cluster, data, [1]), SMALL, "one byte at a time")
    for cut in range(1, len(data)):
        check_frames(feed(cluster, data, [cut, len(data)]), SMALL, f"cut after byte {cut} of {len(data)}")
    data = b"".join(encode(header, payload) for header, payload in LARGE)
    for size in (7, 1000, 4096, len(data)):
        check_frames(feed(cluster, data, [size]), LARGE, f"in pieces of at most {size} bytes")


@claim(
    "A length that lies is found out at once and costs no memory",
    hint="compare both lengths with the bounds in labkit.protocol before anything else; let buffers grow with what arrives",
    read="labs/01_rpc/README.md#part-a-marshal-and-frame",
)
def test_lying_lengths_cost_nothing(cluster: Cluster) -> None:
    start(cluster)
    good = SMALL[1]
    before = encode(*good)
    for header, payload in (
        (0xFFFFFFFF, 0xFFFFFFFF),
        (MAX_HEADER + 1, 0),
        (5, MAX_PAYLOAD + 1),
        (0, 5),
    ):
        lie = struct.pack(">II", header, payload)
        report = feed(cluster, before + lie, [1])
        expect(
            report["error"] != "",
            "a frame with impossible lengths was not refused when its lengths were there",
            expected=f"MalformedFrame for {header} bytes of header and {payload} of payload",
            seen="the assembler waits for the bytes to come",
            why="whoever sends eight bytes could make this node wait, or reserve gigabytes, for ever",
        )
        check_frames({**report, "error": ""}, [good], "before a frame that lies")
    for body in (b"\x93\x01\x02\x03", b"\xc1", b"\x81\x01\x02"):
        report = feed(cluster, struct.pack(">II", len(body), 0) + body, [100])
        expect(
            report["error"] != "",
            "a header that is not a map with str keys was not refused",
            expected="MalformedFrame",
            seen=report["frames"],
        )
    honest = encode({"x": 1})[8:]
    claims = struct.pack(">II", len(honest), MAX_PAYLOAD) + honest + bytes(100)
    report = feed(cluster, claims, [len(claims)], measure=True)
    expect(not report["error"], "a payload of MAX_PAYLOAD bytes is allowed", seen=report["error"])
    expect(
        report["peak"] < 8 * MEGABYTE,
        "memory was spent on bytes that never arrived",
        expected=f"little, for the 100 bytes that came of the {MAX_PAYLOAD} claimed",
        seen=f"{report['peak']} bytes allocated",
    )


@claim(
    "A stream carries frames of every size over a socket, and knows how it ended",
    hint="send may take fewer bytes than it was given; an end of stream inside a frame is MalformedFrame, between two it is None",
    read="labs/01_rpc/README.md#part-a-marshal-and-frame",
)
def test_streams_carry_frames(cluster: Cluster) -> None:
    start(cluster)
    tester = RawPeer(cluster.network)
    # 32 MB: sockets do not take it at once, however fast it is read.
    big = ({"size": "big"}, bytes(range(256)) * 4 * 32 * 1024)
    with tester.connect("node") as node:
        # While the node sleeps all this gathers in its socket: it gets as much as it asks for at once.
        cluster.pause("node")
        data = b"".join(encode(header, payload) for header, payload in (*SMALL, *SMALL))
        cut = len(data) - 5  # inside the last payload
        node.send(data[:cut])
        cluster.until(
            lambda: len(cluster.network.frames(sender="tester")) == 6, "six frames sent to the node"
        )
        cluster.resume("node")
        echoed = [echo(cluster, node) for _ in (*SMALL, *SMALL[1:])]
        node.send(data[cut:])
        echoed.append(echo(cluster, node))
        expect(
            echoed == [*SMALL, *SMALL],
            "six frames sent in two pieces did not come back as they were",
            expected="each once, in order",
            seen="; ".join(short(one) for one in echoed),
        )
        node.send_frame(*big)
        expect(echo(cluster, node) == big, "a frame of 32 MB came back changed")
        node.finish()
        expect(node.closed(), "the stream did not end when the other side ended it")
    check_end(cluster, 1, None, "between two frames")
    with tester.connect("node") as node:
        node.send(encode({"x": 1}, b"0123456789")[:-3])
        node.finish()
        expect(node.closed(), "the stream did not end when the other side ended it")
    check_end(cluster, 2, "MalformedFrame", "inside a frame")


def echo(cluster: Cluster, node: Any) -> Sample:
    try:
        return node.receive(IMPATIENT)
    except LabFailure as failure:
        ends = [note.facts["error"] for note in cluster.notes if note.what == "stream ended"]
        seen = f"the stream ended with {ends[-1]}" if ends and ends[-1] else failure.message
        raise LabFailure("a frame sent to an echo of frames did not come back", seen=seen) from failure


def check_end(cluster: Cluster, number: int, wanted: str | None, where: str) -> None:
    def ends() -> list[Any]:
        return [note.facts["error"] for note in cluster.notes if note.what == "stream ended"]

    cluster.until(lambda: len(ends()) >= number, "the end of a stream")
    seen = ends()[number - 1]
    expect(
        seen == wanted if wanted is None else str(seen).startswith(wanted),
        f"a stream that ended {where} was told otherwise",
        expected=f"receive() raises {wanted}" if wanted else "receive() returns None",
        seen=f"it raised {seen}" if seen else "it returned None",
    )

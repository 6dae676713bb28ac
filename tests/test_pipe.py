"""What the faults do to a stream of frames (harness/network/pipe.py and faults/), however the stream comes in pieces.

A pipe stands between two pairs of sockets here, with as much of a proxy around it as it asks for, and no thread.
"""

from __future__ import annotations

import random
import socket
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from harness.network.faults import (
    Aim,
    Cut,
    Delay,
    Drop,
    Duplicate,
    Fault,
    Hold,
    Partition,
    Reorder,
    Sometimes,
    Watch,
    When,
)
from harness.network.frame import REPLY, REQUEST, Decoder, Frame, encode
from harness.network.pipe import Pipe

COUNT = 8


class Proxy:
    """What a pipe wants of a proxy; its time stands still, but for `advance`."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        self.faults = faults
        self.buffer = memoryview(bytearray(1 << 16))
        self.journal: deque[Any] = deque()
        self.methods: dict[Any, str] = {}
        self.time = self
        self._now = 0.0
        self._timers: list[tuple[float, Callable[[], None]]] = []

    def now(self) -> float:
        return self._now

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        self._timers.append((self._now + seconds, action))

    def advance(self, seconds: float) -> None:
        self._now += seconds
        due = [one for one in self._timers if one[0] <= self._now]
        self._timers = [one for one in self._timers if one not in due]
        for _, action in due:
            action()

    def blocked(self, sender: str, receiver: str) -> bool:
        return any(fault.blocks(sender, receiver) for fault in self.faults)

    def method_of(self, key: object) -> str:
        return "?"


class Connection:
    """What a pipe wants of a connection."""

    number = 1

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self.open = True

    def interest(self, sock: socket.socket) -> None:
        pass

    def ended(self) -> None:
        self.open = False

    def close(self) -> None:
        self.open = False


class Line:
    """A pipe from "a" to "b" with its ends; `got` is what has come out."""

    def __init__(self, *faults: Fault, kind: str = REQUEST) -> None:
        self.proxy, self._decoder = Proxy(faults), Decoder()
        self.connection = Connection(self.proxy)
        self.inlet, source = socket.socketpair()
        sink, self._out = socket.socketpair()
        for sock in (source, sink, self._out):
            sock.setblocking(False)
        self.pipe = Pipe(cast(Any, self.connection), kind, "a", "b", source, sink)
        self._sockets = (self.inlet, source, sink, self._out)
        self.got = b""

    def send(self, data: bytes, rng: random.Random | None = None) -> None:
        """In one piece, or in pieces drawn by `rng`."""
        while data and self.connection.open:
            size = len(data) if rng is None else rng.choice((1, 2, 3, 5, 9, 40, len(data)))
            self.inlet.sendall(data[:size])
            data = data[size:]
            while self.connection.open and self.pipe.read():
                pass
            self.receive()

    def end(self) -> None:
        self.inlet.close()
        self.pipe.read()

    def receive(self) -> bool:
        """Whether the end was heard."""
        while True:
            try:
                data = self._out.recv(1 << 16)
            except BlockingIOError:
                return False
            if not data:
                return True
            self.got += data

    def numbers(self) -> list[int]:
        """Of the frames that have come out so far, which have to be whole."""
        self.receive()
        frames = self._decoder.feed(self.got)
        self.got = b""
        for header, payload in frames:
            assert payload == body(header["xid"][1])
        return [header["xid"][1] for header, _ in frames]

    def close(self) -> None:
        for sock in self._sockets:
            sock.close()


@pytest.fixture
def line() -> Iterator[Callable[..., Line]]:
    made: list[Line] = []

    def make(*faults: Fault, kind: str = REQUEST) -> Line:
        made.append(Line(*faults, kind=kind))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture(params=[None, *range(5)], ids=lambda seed: "whole" if seed is None else f"pieces{seed}")
def rng(request: pytest.FixtureRequest) -> random.Random | None:
    """How a stream is torn to pieces."""
    return None if request.param is None else random.Random(request.param)


def body(number: int) -> bytes:
    return random.Random(number).randbytes(number * 13 % 70)


def frame(number: int, method: str = "add") -> bytes:
    return encode({"method": method, "xid": [7, number]}, body(number))


STREAM = b"".join(frame(number) for number in range(1, COUNT + 1))
ALL = list(range(1, COUNT + 1))


def without(*numbers: int) -> list[int]:
    return [number for number in ALL if number not in numbers]


Make = Callable[..., Line]
Pieces = random.Random | None


@pytest.mark.parametrize(
    ("faults", "wanted"),
    [
        ([], ALL),
        ([Watch], ALL),
        ([lambda: Drop(Aim())], without(1)),
        ([lambda: Drop(Aim("add", REQUEST, skip=2, times=3))], without(3, 4, 5)),
        ([lambda: Drop(Aim(skip=5, times=None))], without(6, 7, 8)),
        ([lambda: Drop(Aim("get"))], ALL),
        ([lambda: Drop(Aim(kind=REPLY))], ALL),
        ([lambda: Drop(Aim(sender="b"))], ALL),
        ([lambda: Drop(Aim(receiver="a"))], ALL),
        ([lambda: Drop(Aim(sender="a", receiver="b"))], without(1)),
        ([lambda: Drop(Aim(only=lambda seen: seen.xid == (7, 4)))], without(4)),
        ([lambda: Drop(Aim(only=lambda seen: seen.header["args"]["serial"] > 0))], ALL),
        ([lambda: Duplicate(Aim(skip=1))], [1, 2, 2, 3, 4, 5, 6, 7, 8]),
        ([lambda: Reorder(Aim(skip=1))], [1, 3, 2, 4, 5, 6, 7, 8]),
        ([lambda: Reorder(Aim(skip=7))], without(8)),
        ([lambda: Partition(["a"], ["b"])], []),
        ([lambda: Partition(["b"], ["a"])], []),
        ([lambda: Partition(["b"], ["a"], both_ways=False)], ALL),
        ([lambda: Partition(["a"], ["c"])], ALL),
        ([lambda: Hold(Aim(skip=2, times=2))], without(3, 4)),
        ([lambda: Drop(Aim(skip=1)), lambda: Duplicate(Aim(skip=1))], [1, 3, 3, 4, 5, 6, 7, 8]),
    ],
)
def test_what_comes_out(line: Make, rng: Pieces, faults: list[Any], wanted: list[int]) -> None:
    """A fault that has taken a frame is the only one: the next are not asked, and do not count it."""
    made = line(*(Watch(Aim(times=None)) if one is Watch else one() for one in faults))
    made.send(STREAM, rng)
    assert made.numbers() == wanted


def test_the_end_of_a_stream_passes_as_its_frames_do(line: Make) -> None:
    made = line()
    made.send(STREAM)
    made.end()
    assert made.receive()
    assert made.numbers() == ALL
    assert not made.connection.open


def test_a_partition_holds_up_the_end_of_a_stream(line: Make) -> None:
    """Who is cut off is silent: nobody can tell whether it is dead."""
    made = line(Partition(["a"], ["b"]))
    made.send(STREAM)
    made.end()
    assert not made.receive()
    made.proxy.faults = ()
    made.pipe.finish()
    assert made.receive()
    assert made.got == b""


def test_whatever_is_no_frame_passes_as_it_is(line: Make, rng: Pieces) -> None:
    """A student's broken codec has to reach the other side, which has to cope."""
    rubbish = random.Random(3).randbytes(1000)
    made = line(Drop(Aim("get", times=None)))
    made.send(frame(1) + b"\xff\xff\xff\xff" + rubbish, rng)
    made.receive()
    assert made.got == frame(1) + b"\xff\xff\xff\xff" + rubbish


def test_what_is_late_comes_at_its_time(line: Make, rng: Pieces) -> None:
    made = line(Delay(Aim(skip=1, times=2), 5.0), Duplicate(Aim(skip=3), 8.0))
    made.send(STREAM, rng)
    assert made.numbers() == without(2, 3)
    made.proxy.advance(4.9)
    assert made.numbers() == []
    made.proxy.advance(0.2)
    assert made.numbers() == [2, 3]
    made.proxy.advance(3.0)
    assert made.numbers() == [6]


def test_what_is_late_never_comes_into_the_middle_of_another(line: Make) -> None:
    made = line(Delay(Aim(), 5.0))
    second = frame(2)
    made.send(frame(1) + second[:-1])
    made.proxy.advance(6.0)
    made.send(second[-1:] + frame(3))
    assert made.numbers() == [2, 1, 3]


def test_what_is_held_waits_for_the_test(line: Make, rng: Pieces) -> None:
    hold = Hold(Aim(times=3))
    made = line(hold)
    made.send(STREAM, rng)
    assert made.numbers() == without(1, 2, 3)
    assert [one.xid for one in hold.frames] == [(7, 1), (7, 2), (7, 3)]
    hold.gate.open()
    assert made.numbers() == [1, 2, 3]
    made.send(frame(1), rng)
    assert made.numbers() == [1], "an open gate holds nothing"


def test_what_is_held_can_be_lost(line: Make) -> None:
    hold = Hold(Aim())
    made = line(hold)
    made.send(frame(1) + frame(2))
    hold.gate.discard()
    hold.gate.open()
    assert made.numbers() == [2]


@pytest.mark.parametrize(
    ("where", "left"),
    [("before", 0), ("inside", len(frame(2)) // 2), ("after", len(frame(2)))],
)
def test_a_cut_line(line: Make, rng: Pieces, where: str, left: int) -> None:
    made = line(Cut(Aim(skip=1), where))
    made.send(STREAM, rng)
    made.receive()
    assert made.got == (frame(1) + frame(2))[: len(frame(1)) + left]
    assert not made.connection.open


def test_a_line_is_cut_at_one_of_three_places() -> None:
    with pytest.raises(ValueError, match="before, inside or after"):
        Cut(Aim(), "besides")


@pytest.mark.parametrize("deliver", [True, False])
def test_something_is_done_while_a_frame_is_on_the_wire(line: Make, rng: Pieces, deliver: bool) -> None:
    done: list[list[int]] = []
    made = line(When(Aim(skip=1), lambda: done.append(made.numbers()), deliver=deliver))
    made.send(STREAM, rng)
    assert [number for once in done for number in once] + made.numbers() == (ALL if deliver else without(2))
    assert len(done) == 1


def test_a_share_of_the_frames_is_drawn_by_the_seed(line: Make) -> None:
    drawn = random.Random(5)
    lost = [number for number in ALL if drawn.random() < 0.5]
    made = line(Sometimes(random.Random(5), 0.5, Drop(Aim(times=None))))
    made.send(STREAM)
    assert made.numbers() == without(*lost)
    assert 0 < len(lost) < COUNT


def test_the_journal_says_what_became_of_a_frame(line: Make, rng: Pieces) -> None:
    made = line(Drop(Aim(skip=1)), Delay(Aim(skip=2), 1.0))
    made.send(STREAM, rng)
    seen = [cast(Frame, one) for one in made.proxy.journal]
    assert [(one.xid, one.method, one.kind, one.sender, one.receiver) for one in seen] == [
        ((7, number), "add", REQUEST, "a", "b") for number in ALL
    ]
    assert [one.size for one in seen] == [len(frame(number)) for number in ALL]
    assert [one.fate for one in seen] == ["passed", "dropped", "passed", "delayed", *["passed"] * 4]


def test_a_reply_has_the_method_of_its_request(line: Make) -> None:
    aim = Aim("get", REPLY, times=None)
    replies = line(Drop(aim), kind=REPLY)
    replies.proxy.methods.update({(1, (7, 1)): "add", (1, (7, 2)): "get"})
    replies.send(b"".join(encode({"xid": [7, number], "result": {}}, body(number)) for number in (1, 2, 3)))
    assert replies.numbers() == [1, 3]
    assert aim.hits == 1


def test_who_takes_nothing_loses_nothing(line: Make) -> None:
    """The sink is full long before the source ends."""
    made = line()
    big = [encode({"xid": [7, 0]}, bytes(50_000)) for _ in range(100)]
    for one in big:
        made.inlet.sendall(one)
        while made.pipe.read():
            pass
    made.end()
    while made.pipe.out:
        made.receive()
        made.pipe.flush()
    assert made.receive()
    assert made.got == b"".join(big)


@pytest.mark.parametrize(
    ("aim", "says"),
    [
        (Aim(), "every frame"),
        (Aim("apply", REPLY, sender="cs1", receiver="cs2"), "apply reply from cs1 to cs2"),
    ],
)
def test_an_aim_says_what_it_is_for(aim: Aim, says: str) -> None:
    assert str(aim) == says

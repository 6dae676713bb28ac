"""Lab 1's reference: frames over a socket."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from types import SimpleNamespace
from typing import Any

import pytest

from labkit.clock import GLANCE
from labkit.errors import (
    MalformedFrame,
)
from tests.calls.nodes import CLOCK, MEGABYTE


def test_a_stream_that_ends_between_frames_is_done(lab: SimpleNamespace, pair: Any) -> None:
    stream, theirs = pair
    theirs.sendall(b"".join(lab.wire.encode({"a": 1}, b"p")))
    theirs.close()
    assert stream.receive() == ({"a": 1}, b"p")
    assert stream.receive() is None


def test_a_stream_that_ends_inside_a_frame_is_malformed(lab: SimpleNamespace) -> None:
    data = b"".join(lab.wire.encode({"a": 1}, b"payload"))
    for cut in range(1, len(data)):
        ours, theirs = socket.socketpair()
        stream = lab.stream.FrameStream(ours, CLOCK)
        theirs.sendall(data[:cut])
        theirs.close()
        with pytest.raises(MalformedFrame):
            stream.receive()
        stream.close()


def test_a_deadline_inside_a_frame_loses_nothing(lab: SimpleNamespace, pair: Any) -> None:
    stream, theirs = pair
    data = b"".join(lab.wire.encode({"a": 1}, b"p" * 10_000))
    for start in range(0, len(data), 999):
        with pytest.raises(lab.stream.DeadlinePassed):
            stream.receive(CLOCK.now())
        assert start == 0 or not stream.silent()
        theirs.sendall(data[start : start + 999])
    assert stream.receive(CLOCK.now() + 5) == ({"a": 1}, b"p" * 10_000)
    assert stream.silent()


def test_a_send_to_somebody_who_does_not_read_ends_at_its_deadline(lab: SimpleNamespace, pair: Any) -> None:
    stream, _ = pair
    with pytest.raises(lab.stream.DeadlinePassed):
        stream.send(lab.wire.encode({}, MEGABYTE), CLOCK.now() + 0.05)


def test_large_frames_pass_in_pieces(lab: SimpleNamespace, pair: Any) -> None:
    stream, theirs = pair
    other = lab.stream.FrameStream(theirs, CLOCK)
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(stream.send, lab.wire.encode({"n": 1}, MEGABYTE * 4))
        assert other.receive(CLOCK.now() + 10) == ({"n": 1}, MEGABYTE * 4)
        sent.result()


def test_abort_wakes_a_receiver(pair: Any) -> None:
    stream, _ = pair
    with ThreadPoolExecutor(1) as pool:
        received = pool.submit(stream.receive)
        stream.abort()
        assert received.result(5) is None


def notify(condition: threading.Condition) -> None:
    with condition:
        condition.notify_all()


@pytest.mark.parametrize("seconds", [1e12, float("inf"), 2.0**31 / 1000])
def test_a_deadline_may_be_as_far_away_as_it_likes(lab: SimpleNamespace, pair: Any, seconds: float) -> None:
    stream, theirs = pair
    theirs.sendall(b"".join(lab.wire.encode({"a": 1})))
    assert stream.receive(CLOCK.now() + seconds) == ({"a": 1}, b"")
    condition = threading.Condition()
    with condition:
        assert CLOCK.wait_for(condition, lambda: True, seconds)
        threading.Thread(target=notify, args=(condition,)).start()
        assert CLOCK.wait(condition, seconds)


def test_the_clock_waits_for_the_socket_that_it_is_asked_about(pair: Any) -> None:
    _, theirs = pair
    for _ in range(3):
        ours, others = socket.socketpair()
        with ours, others:
            assert not CLOCK.wait_readable(ours, 0.0)
            assert not CLOCK.wait_readable(ours, 0.0001)
            others.sendall(b"x")
            assert CLOCK.wait_readable(ours, None)
            assert not CLOCK.wait_readable(theirs, -1.0)


def test_the_clock_receives_what_comes_before_the_timeout(lab: SimpleNamespace) -> None:
    ours, theirs = socket.socketpair()
    room = memoryview(bytearray(9))
    with ours, theirs, ThreadPoolExecutor(1) as pool:
        receive = CLOCK.receiver(ours)
        for timeout in (-1.0, 0.0, GLANCE / 2, 2 * GLANCE):
            assert receive(room, timeout) is None
        for timeout in (None, 30.0):
            received = pool.submit(receive, room, timeout)
            with pytest.raises(FutureTimeout):
                received.result(2 * GLANCE)
            theirs.sendall(b"late")
            assert received.result(5) == 4
            theirs.sendall(b"x")
            assert receive(room, timeout) == 1
        theirs.close()
        assert receive(room, 30.0) == 0

"""The reference of lab 1: frames, calls, at most once, restarts, and a server that stops cleanly."""

from __future__ import annotations

import random
import socket
import struct
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from labkit import Context
from labkit.clock import SystemClock
from labkit.disk import OsDisk
from labkit.errors import (
    BadArguments,
    CallTimeout,
    ConnectionLost,
    Forgotten,
    HandlerFailed,
    MalformedFrame,
    NoSuchFile,
    RemoteError,
    SessionLost,
    UnknownMethod,
    Unreachable,
)
from labkit.network import DirectNetwork
from labkit.protocol import HELLO, MAX_HEADER, MAX_PAYLOAD

ROOT = Path(__file__).resolve().parents[1] / "solutions" / "01_rpc"
CLOCK = SystemClock()
MEGABYTE = random.Random(0).randbytes(1024 * 1024)


def forget_rpc() -> None:
    for name in [name for name in sys.modules if name == "rpc" or name.startswith("rpc.")]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def lab() -> Iterator[SimpleNamespace]:
    """The modules of the reference, imported from its own root and from nowhere else."""
    forget_rpc()
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.syspath_prepend(str(ROOT))
        import rpc
        import rpc.duplicates
        import rpc.messages
        import rpc.retry
        import rpc.sessions
        import rpc.stream
        import rpc.wire

        assert Path(rpc.__file__).is_relative_to(ROOT)
        modules: dict[str, ModuleType] = {
            name: sys.modules[f"rpc.{name}"]
            for name in ("duplicates", "messages", "retry", "sessions", "stream", "wire")
        }
        yield SimpleNamespace(rpc=rpc, **modules)
    forget_rpc()


def eventually(condition: Callable[[], bool], what: str, seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.002)


# ---------------------------------------------------------------- frames


def frames_of(lab: SimpleNamespace) -> list[tuple[dict[str, Any], bytes]]:
    wire = lab.wire
    return [
        ({"xid": [1, 2]}, b""),
        ({"a": None}, b"payload"),
        ({}, b"x" * (wire.SMALL - 9)),
        ({"long": "h" * (2 * wire.SMALL)}, b""),
        ({"long": "h" * wire.SMALL}, bytes(range(256)) * 40),
    ]


def feed(assembler: Any, data: bytes) -> list[Any]:
    taken: list[Any] = []
    view = memoryview(data)
    while view:
        with assembler.room() as room:
            assert len(room) > 0
            count = min(len(room), len(view))
            room[:count] = view[:count]
        assembler.filled(count)
        view = view[count:]
        while (frame := assembler.take()) is not None:
            taken.append(frame)
    return taken


def test_a_frame_is_prefix_header_payload(lab: SimpleNamespace) -> None:
    head = struct.pack(">II", 4, 3) + b"\x81\xa1a\x01"
    assert lab.wire.encode({"a": 1}, b"xyz") == [head + b"xyz"]
    assert lab.wire.encode({"a": 1}) == [struct.pack(">II", 4, 0) + b"\x81\xa1a\x01"]
    head, payload = lab.wire.encode({"a": 1}, MEGABYTE)
    assert bytes(head) == struct.pack(">II", 4, len(MEGABYTE)) + b"\x81\xa1a\x01"
    assert payload == MEGABYTE


def test_a_large_payload_is_not_copied(lab: SimpleNamespace) -> None:
    data = bytearray(MEGABYTE)
    assert lab.wire.encode({}, data)[1] is data


@pytest.mark.parametrize("items", [2, 100_000])
def test_lengths_count_bytes_not_items(lab: SimpleNamespace, items: int) -> None:
    frame = b"".join(lab.wire.encode({}, memoryview(bytearray(4 * items)).cast("I")))
    assert struct.unpack(">II", frame[:8])[1] == 4 * items == len(frame) - 9


@pytest.mark.parametrize(
    ("header", "payload", "error"),
    [
        ({"a": object()}, b"", TypeError),
        ({1: 2}, b"", TypeError),
        ({"a": 1 << 64}, b"", ValueError),
        ({}, "text", TypeError),
        ({}, memoryview(b"0123")[::2], TypeError),
        ({"a": b"x" * MAX_HEADER}, b"", ValueError),
        ({}, bytearray(MAX_PAYLOAD + 1), ValueError),
    ],
    ids=["object", "key", "integer", "text payload", "strided payload", "header size", "payload size"],
)
def test_what_cannot_be_sent_is_refused(lab: SimpleNamespace, header: Any, payload: Any, error: type) -> None:
    with pytest.raises(error):
        lab.wire.encode(header, payload)


@pytest.mark.parametrize(
    ("header", "payload", "fine"),
    [
        (1, 0, True),
        (MAX_HEADER, MAX_PAYLOAD, True),
        (0, 0, False),
        (MAX_HEADER + 1, 0, False),
        (1, MAX_PAYLOAD + 1, False),
        (2**32 - 1, 2**32 - 1, False),
    ],
)
def test_lengths_are_bounded(lab: SimpleNamespace, header: int, payload: int, fine: bool) -> None:
    prefix = struct.pack(">II", header, payload)
    if fine:
        assert feed(lab.wire.FrameAssembler(), prefix) == []
    else:
        with pytest.raises(MalformedFrame):
            feed(lab.wire.FrameAssembler(), prefix)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x01",
        b"\x90",
        b"\x81\x01\x02",
        b"\x81\xc4\x01a\x01",
        b"\x80\x80",
        b"\x81\xa1a",
        b"\xc1",
        b"\xdf\xff",
    ],
    ids=["nothing", "int", "list", "int key", "bytes key", "two values", "cut", "no msgpack", "cut map"],
)
def test_a_header_is_one_map_with_str_keys(lab: SimpleNamespace, data: bytes) -> None:
    with pytest.raises(MalformedFrame):
        feed(lab.wire.FrameAssembler(), struct.pack(">II", len(data), 0) + data)


def test_frames_survive_a_split_at_every_byte(lab: SimpleNamespace) -> None:
    frames = [({"xid": [1, 2]}, b""), ({"a": None}, b"payload"), ({"b": "c" * 40}, b"")]
    data = b"".join(b"".join(lab.wire.encode(*frame)) for frame in frames)
    for cut in range(len(data) + 1):
        assembler = lab.wire.FrameAssembler()
        assert feed(assembler, data[:cut]) + feed(assembler, data[cut:]) == frames
        assert assembler.between_frames()


def test_frames_of_any_size_survive_a_byte_at_a_time(lab: SimpleNamespace) -> None:
    frames = frames_of(lab)
    data = b"".join(b"".join(lab.wire.encode(*frame)) for frame in frames)
    assembler = lab.wire.FrameAssembler()
    assert [frame for i in range(len(data)) for frame in feed(assembler, data[i : i + 1])] == frames


def test_frames_that_arrive_together_are_told_apart(lab: SimpleNamespace) -> None:
    frames = frames_of(lab) * 3
    data = b"".join(b"".join(lab.wire.encode(*frame)) for frame in frames)
    assert feed(lab.wire.FrameAssembler(), data) == frames


def test_a_frame_keeps_its_payload_when_the_next_arrives(lab: SimpleNamespace) -> None:
    assembler = lab.wire.FrameAssembler()
    ((_, first),) = feed(assembler, b"".join(lab.wire.encode({}, b"first")))
    feed(assembler, b"".join(lab.wire.encode({}, b"other")))
    assert first == b"first"


def test_a_claimed_length_costs_nothing_before_its_bytes_arrive(lab: SimpleNamespace) -> None:
    tracemalloc.start()
    try:
        for claim in (
            struct.pack(">II", 1, MAX_PAYLOAD) + b"\x80",
            struct.pack(">II", MAX_HEADER, MAX_PAYLOAD),
        ):
            assert feed(lab.wire.FrameAssembler(), claim) == []
        assert tracemalloc.get_traced_memory()[1] < 3 * lab.wire.TRUST
    finally:
        tracemalloc.stop()


def test_a_payload_beyond_the_trusted_size_grows_as_it_arrives(lab: SimpleNamespace) -> None:
    payload = MEGABYTE * 3 + b"end"
    ((_, received),) = feed(lab.wire.FrameAssembler(), b"".join(lab.wire.encode({}, payload)))
    assert received == payload


# ---------------------------------------------------------------- streams


@pytest.fixture
def pair(lab: SimpleNamespace) -> Iterator[tuple[Any, socket.socket]]:
    ours, theirs = socket.socketpair()
    with theirs:
        stream = lab.stream.FrameStream(ours, CLOCK)
        yield stream, theirs
        stream.close()


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


# ---------------------------------------------------------------- retries


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, [1, 2, 4, 8, 8]),
        ({"attempts": 1}, [1]),
        ({"first_timeout": 3, "factor": 1, "attempts": 3}, [3, 3, 3]),
        ({"first_timeout": 9, "attempts": 2}, [8, 8]),
    ],
)
def test_timeouts_grow_and_are_bounded(lab: SimpleNamespace, fields: Any, expected: list[float]) -> None:
    plain = lab.retry.RetryPolicy(jitter=0, **fields)
    assert [plain.timeout(attempt, random.Random(0)) for attempt in range(len(expected))] == expected
    varied = lab.retry.RetryPolicy(jitter=0.2, **fields)
    for seed in range(50):
        rng = random.Random(seed)
        times = [varied.timeout(attempt, rng) for attempt in range(len(expected))]
        assert all(0.8 * e <= t <= 1.2 * e for t, e in zip(times, expected, strict=True)), seed


def test_jitter_differs_between_clients_and_repeats_with_the_seed(lab: SimpleNamespace) -> None:
    policy = lab.retry.RetryPolicy()
    assert policy.timeout(0, random.Random(1)) == policy.timeout(0, random.Random(1))
    assert policy.timeout(0, random.Random(1)) != policy.timeout(0, random.Random(2))


def test_the_last_of_very_many_attempts_waits_as_long_as_any(lab: SimpleNamespace) -> None:
    policy = lab.retry.RetryPolicy(attempts=10**9, jitter=0)
    assert policy.timeout(10**9 - 1, random.Random(0)) == policy.longest


@pytest.mark.parametrize("fields", [{"attempts": 0}, {"first_timeout": 0}, {"factor": 0.5}, {"jitter": 1}])
def test_senseless_policies_are_refused(lab: SimpleNamespace, fields: Any) -> None:
    with pytest.raises(ValueError):
        lab.retry.RetryPolicy(**fields)


# ---------------------------------------------------------------- the duplicate table

# Each script is read from left to right: "seq/ack verdict" begins a call, "seq=answer" finishes it.
SCRIPTS = {
    "a new call runs, its duplicate waits, then gets the answer": "1/0 RUN; 1/0 WAIT; 1=a; 1/0 a; 1/0 a",
    "an acknowledged call is forgotten": "1/0 RUN; 1=a; 2/1 RUN; 1/0 FORGOTTEN",
    "calls in flight together are kept apart": "1/0 RUN; 2/0 RUN; 2=b; 1/0 WAIT; 2/0 b; 1=a; 1/0 a",
    "calls may arrive out of order": "3/0 RUN; 1/0 RUN; 2/0 RUN; 3=c; 3/0 c",
    "a late small ack takes nothing back": "1/0 RUN; 1=a; 3/2 RUN; 4/0 RUN; 2/0 FORGOTTEN; 1/0 FORGOTTEN",
    "an ack keeps what is above it": "1/0 RUN; 2/0 RUN; 1=a; 2=b; 3/1 RUN; 2/0 b",
    "a call given up while it runs is forgotten, its answer dropped": "1/0 RUN; 2/1 RUN; 1=a; 1/0 FORGOTTEN",
    "a call acknowledged before it ever arrived does not run": "2/1 RUN; 1/0 FORGOTTEN",
    "a request that acknowledges itself does not run": "1/1 FORGOTTEN",
}


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS.keys())
def test_the_duplicate_table_decides(lab: SimpleNamespace, script: str) -> None:
    table = lab.duplicates.DuplicateTable()
    verdicts = lab.duplicates.Verdict.__members__
    for step in script.split("; "):
        if "=" in step:
            seq, answer = step.split("=")
            table.finish(7, int(seq), answer)
            continue
        call, expected = step.split(" ")
        seq, ack = map(int, call.split("/"))
        wanted = verdicts.get(expected) or expected
        assert table.begin(7, seq, ack, 0.0) == wanted, step


def test_clients_with_the_same_numbers_are_kept_apart(lab: SimpleNamespace) -> None:
    table = lab.duplicates.DuplicateTable()
    for client in (1, 2):
        assert table.begin(client, 1, 0, 0.0) is lab.duplicates.Verdict.RUN


def test_acknowledged_answers_take_no_room(lab: SimpleNamespace) -> None:
    table = lab.duplicates.DuplicateTable()
    for seq in range(1, 1000):
        table.begin(7, seq, seq - 1, 0.0)
        table.finish(7, seq, "answer")
    assert len(table) == 1


def test_the_answer_of_a_call_given_up_takes_no_room(lab: SimpleNamespace) -> None:
    table = lab.duplicates.DuplicateTable()
    table.begin(7, 1, 0, 0.0)
    table.begin(7, 2, 1, 0.0)
    table.finish(7, 1, "answer")
    assert len(table) == 1


def test_clients_are_forgotten_only_when_silent_and_too_many(lab: SimpleNamespace) -> None:
    run, table = lab.duplicates.Verdict.RUN, lab.duplicates.DuplicateTable(max_clients=2, keep=10.0)

    def begin(client: int, now: float) -> Any:
        decision = table.begin(client, 1, 0, now)
        table.finish(client, 1, "a")
        return decision

    assert [begin(1, 0.0), begin(2, 5.0), begin(3, 10.0)] == [run] * 3
    assert begin(1, 10.0) != run, "silent for 10 s only: still known, though there are 3 clients"
    assert begin(4, 15.1) == run
    assert begin(1, 15.1) != run, "heard of since"
    assert begin(3, 15.1) != run
    assert begin(2, 15.1) == run, "silent for longer than 10 s: forgotten when client 4 came"


def test_a_client_is_silent_since_it_was_last_heard_not_first(lab: SimpleNamespace) -> None:
    table = lab.duplicates.DuplicateTable(max_clients=1, keep=10.0)
    table.begin(1, 1, 0, 0.0)
    table.finish(1, 1, "a")
    table.begin(1, 1, 0, 9.0)
    table.begin(2, 1, 0, 12.0)
    assert table.begin(1, 1, 0, 12.0) == "a"


def test_a_client_whose_call_still_runs_is_not_forgotten(lab: SimpleNamespace) -> None:
    table = lab.duplicates.DuplicateTable(max_clients=1, keep=10.0)
    table.begin(1, 1, 0, 0.0)
    table.begin(2, 1, 0, 100.0)
    assert table.begin(1, 1, 0, 100.0) is lab.duplicates.Verdict.WAIT


@pytest.mark.parametrize("seed", range(20))
def test_no_order_of_arrivals_runs_a_call_twice(lab: SimpleNamespace, seed: int) -> None:
    rng = random.Random(seed)
    table, ran = lab.duplicates.DuplicateTable(), list[tuple[int, int]]()
    for _ in range(500):
        client, seq = rng.randrange(3), rng.randrange(1, 30)
        if rng.random() < 0.3:
            table.finish(client, seq, "a")
        elif table.begin(client, seq, rng.randrange(seq), 0.0) is lab.duplicates.Verdict.RUN:
            ran.append((client, seq))
    assert len(ran) == len(set(ran)), f"seed {seed}"


# ---------------------------------------------------------------- sessions


def test_an_ack_never_reaches_a_call_in_flight(lab: SimpleNamespace) -> None:
    session = lab.sessions.Session()
    assert [session.begin() for _ in range(3)] == [(1, 0), (2, 0), (3, 0)]
    session.end(2)
    assert session.begin() == (4, 0)
    session.end(1)
    assert session.begin() == (5, 2)
    assert session.number() == 6


def test_a_lost_epoch_does_not_hide_a_newer_one(lab: SimpleNamespace) -> None:
    session = lab.sessions.Session()
    session.epoch = 2
    session.lost(1)
    assert session.epoch == 2
    session.lost(2)
    assert session.epoch is None


# ---------------------------------------------------------------- nodes


class Node:
    """Nodes of one process, real sockets between them."""

    def __init__(self, lab: SimpleNamespace, directory: Path) -> None:
        self.lab = lab
        self.directory = directory
        self.ports: dict[str, int] = {}
        self.made: list[Any] = []
        self.pool = ThreadPoolExecutor(16)
        self.starts = 0

    def context(self, name: str) -> Context:
        self.starts += 1
        network = DirectNetwork(self.ports.__getitem__, lambda port: self.ports.__setitem__(name, port))
        rng = random.Random(f"{name} {self.starts}")
        return Context(name, {}, CLOCK, OsDisk(self.directory / name), network, rng)

    def server(self, handlers: dict[str, Callable[..., Any]], name: str = "server") -> Any:
        server = self.lab.rpc.Server(self.context(name), handlers)
        server.start()
        self.made.append(server.stop)
        return server

    def client(self, **policy: Any) -> Any:
        client = self.lab.rpc.Client(self.context("client"), self.lab.rpc.RetryPolicy(**policy))
        self.made.append(client.close)
        return client

    def stream(self, name: str = "server") -> Any:
        """A connection for requests written by hand."""
        stream = self.lab.stream.FrameStream(self.context("raw").network.connect(name), CLOCK)
        self.made.append(stream.close)
        return stream

    def ask(self, stream: Any, method: str = "count", client: int = 7, **fields: Any) -> None:
        seq = fields.pop("seq", 1)
        header = {"method": method, "args": {}, "xid": [client, seq], "ack": 0, "epoch": None, **fields}
        stream.send(self.lab.wire.encode(header), CLOCK.now() + 5)

    def answer(self, stream: Any) -> dict[str, Any]:
        frame = stream.receive(CLOCK.now() + 5)
        assert frame is not None, "the connection was closed"
        return frame[0]

    def epoch(self, name: str = "server") -> int:
        stream = self.stream(name)
        self.ask(stream, HELLO, client=1, seq=1)
        return self.answer(stream)["result"]["epoch"]


@pytest.fixture
def nodes(lab: SimpleNamespace, tmp_path: Path) -> Iterator[Node]:
    before = set(threading.enumerate())
    nodes = Node(lab, tmp_path)
    yield nodes
    for close in reversed(nodes.made):
        close()
    nodes.pool.shutdown()
    eventually(lambda: set(threading.enumerate()) <= before, "every thread of the nodes has ended")


class Script:
    """A server whose every answer the test writes itself."""

    def __init__(self, nodes: Node, name: str = "server") -> None:
        self.nodes = nodes
        self.listener = nodes.context(name).network.listen()
        nodes.made.append(self.listener.close)
        self.listener.settimeout(5)

    def accept(self) -> Any:
        sock, _ = self.listener.accept()
        sock.settimeout(None)
        stream = self.nodes.lab.stream.FrameStream(sock, CLOCK)
        self.nodes.made.append(stream.close)
        return stream

    def next(self, stream: Any, epoch: int = 5) -> Any:
        """The next request that is no hello, with its `payload`; a hello is answered with `epoch`."""
        while True:
            frame = stream.receive(CLOCK.now() + 5)
            assert frame is not None, "the client closed the connection"
            header, payload = frame
            request = SimpleNamespace(**header, payload=payload)
            request.client, request.seq = request.xid
            if request.method != HELLO:
                return request
            self.reply(stream, request, {"epoch": epoch})

    def reply(self, stream: Any, request: Any, value: Any) -> None:
        self.reply_to(stream, request.xid, value)

    def reply_to(self, stream: Any, xid: Sequence[int], value: Any) -> None:
        outcome = {"error": value.to_wire()} if isinstance(value, RemoteError) else {"result": value}
        stream.send(self.nodes.lab.wire.encode({"xid": xid, **outcome}))


class Counter:
    """A handler that counts its runs, and can be held while it runs."""

    def __init__(self) -> None:
        self.runs = 0
        self.entered = threading.Event()
        self.hold = threading.Event()
        self.hold.set()
        self._lock = threading.Lock()

    def __call__(self) -> int:
        with self._lock:
            self.runs += 1
            value = self.runs
        self.entered.set()
        assert self.hold.wait(10)
        return value


def echo(value: Any = None, payload: Any = b"") -> Any:
    from rpc import Reply

    return Reply(value, payload)


def test_values_and_payloads_go_both_ways(nodes: Node) -> None:
    nodes.server({"echo": echo})
    client = nodes.client()
    value = {"list": [1, -2, 2**63, 0.5, None, True], "bytes": b"\x00", "text": "ü"}
    for payload in (b"", b"small", MEGABYTE):
        for at_most_once in (True, False):
            reply = client.call("server", "echo", {"value": value}, payload, at_most_once=at_most_once)
            assert reply == (value, payload)


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


# ---------------------------------------------------------------- at most once, at the server


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


# ---------------------------------------------------------------- at most once, at the client


def start(nodes: Node, client: Any, *args: Any, **kwargs: Any) -> Future[Any]:
    return nodes.pool.submit(client.call, *args, **kwargs)


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
    assert call.result(5) == (None, b"")


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


# ---------------------------------------------------------------- many at once, and the end


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

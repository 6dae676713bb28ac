"""Several tests at a time, only those that failed, and again at every save."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.grading.events import (
    Attempted,
    Collected,
    Covered,
    Ended,
    Event,
    Fault,
    Started,
    Unreadable,
    from_bytes,
    to_bytes,
)
from harness.grading.outcome import Outcome, Status
from harness.grading.runner import MOST_AGAIN
from harness.grading.score import Attempt
from tests.test_grading_fake import FakeKit, ordinary_signals, results_of


@pytest.fixture
def kit(tmp_path: Path) -> FakeKit:
    return FakeKit(tmp_path)


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.01)


_MEETING = """
from pathlib import Path
def meet(mine, other):
    Path(os.environ["PLACE"], mine).touch()
    deadline = time.monotonic() + 50
    while not Path(os.environ["PLACE"], other).exists():
        expect(time.monotonic() < deadline, "alone")
        time.sleep(0.01)
def test_here(): meet("here", "there")
def test_there(): meet("there", "here")
def test_alone(): pass
"""


def test_tests_run_side_by_side_and_are_reported_in_the_order_of_the_manifest(kit: FakeKit) -> None:
    names = ["test_there", "test_alone", "test_here"]
    kit.lab("lab01", {"A": dict.fromkeys(names, 1)}, _MEETING)

    report = kit.graded("lab01", "--jobs", 2, PLACE=str(kit.root))

    assert report["score"] == 3, report
    assert list(results_of(report)) == names


_KILLED = """
def test_first(): pass
def test_killed(): os.kill(os.getpid(), signal.SIGKILL)
def test_last(): pass
"""


@pytest.mark.parametrize("jobs", [1, 3])
def test_a_worker_that_is_killed_costs_one_test_and_is_replaced(kit: FakeKit, jobs: int) -> None:
    kit.lab("lab01", {"A": dict.fromkeys(("test_first", "test_killed", "test_last"), 1)}, _KILLED)

    report = kit.graded("lab01", "--jobs", jobs)

    statuses = {name: test["status"] for name, test in results_of(report).items()}
    assert statuses == {"test_first": "passed", "test_killed": "error", "test_last": "passed"}
    assert "killed from outside (SIGKILL)" in results_of(report)["test_killed"]["message"]
    assert report["run"].returncode == 2


_STARVED = """
from pathlib import Path
from harness.failures import TooBusy
def starve(name, times):
    with Path(os.environ["PLACE"], name).open("a") as log:
        log.write("x")
        if log.tell() <= times:
            raise TooBusy("this machine was too busy")
def test_once(): starve("once", 1)
def test_twice(): starve("twice", 2)
def test_never(): starve("never", 0)
""" + "\n".join(f"def test_{number}(): starve('{number}', 9)" for number in range(MOST_AGAIN))


def test_the_few_tests_that_were_starved_are_run_once_more(kit: FakeKit) -> None:
    names = ["test_once", "test_twice", "test_never"]
    kit.lab("lab01", {"A": dict.fromkeys(names, 1)}, _STARVED)

    report = kit.graded("lab01", PLACE=str(kit.root))

    statuses = {name: test["status"] for name, test in results_of(report).items()}
    assert statuses == {"test_once": "passed", "test_twice": "error", "test_never": "passed"}
    assert (report["score"], report["run"].returncode) == (2, 2)
    runs = [(kit.root / name).read_text() for name in ("once", "twice", "never")]
    assert runs == ["xx", "xx", "x"]


@pytest.mark.parametrize(("repeat", "more"), [(2, 0), (1, MOST_AGAIN)], ids=["repeated", "many"])
def test_what_is_repeated_or_hopeless_is_not_run_once_more(kit: FakeKit, repeat: int, more: int) -> None:
    names = ["test_once", *(f"test_{number}" for number in range(more))]
    kit.lab("lab01", {"A": dict.fromkeys(names, 1)}, _STARVED)

    report = kit.graded("lab01", "--repeat", repeat, PLACE=str(kit.root))

    assert results_of(report)["test_once"]["status"] == "error"
    assert (kit.root / "once").read_text() == "x" * repeat


_HOLDING = """
from pathlib import Path
@pytest.fixture
def held(request):
    Path(os.environ["PLACE"], request.node.name).touch()
    yield
    Path(os.environ["PLACE"], request.node.name).unlink()
def test_one(held): time.sleep(50)
def test_two(held): time.sleep(50)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda one: one.name)
def test_a_signal_to_the_grader_ends_all_workers(kit: FakeKit, number: signal.Signals) -> None:
    kit.lab("lab01", {"A": {"test_one": 1, "test_two": 1}}, _HOLDING)
    place = kit.root / "place"
    place.mkdir()
    environment = {**os.environ, "PLACE": str(place)}
    with subprocess.Popen(
        kit.command("lab01", "--jobs", 2),
        env=environment,
        stdout=subprocess.DEVNULL,
        preexec_fn=ordinary_signals,
    ) as child:
        until(lambda: len(list(place.iterdir())) == 2, "the start of both tests")
        child.send_signal(number)
        child.wait(60)
    until(lambda: not list(place.iterdir()), "the end of both tests")
    assert child.returncode == (2 if number != signal.SIGKILL else -signal.SIGKILL)


_TWO = "def test_good(): pass\ndef test_bad(): assert False\ndef test_worse(): assert False"


def test_failed_runs_what_failed_the_last_time(kit: FakeKit) -> None:
    kit.lab("lab01", {"A": {"test_good": 1, "test_bad": 2, "test_worse": 4}}, _TWO)
    assert list(results_of(kit.graded("lab01", "--failed"))) == ["test_good", "test_bad", "test_worse"]

    assert list(results_of(kit.graded("lab01", "--failed"))) == ["test_bad", "test_worse"]

    kit.tests("lab01", _TWO.replace("test_bad(): assert False", "test_bad(): pass"))
    assert kit.graded("lab01", "--failed")["score"] == 2
    assert list(results_of(kit.graded("lab01", "--failed"))) == ["test_worse"]
    assert list(results_of(kit.graded("lab01", "--failed", "--solution"))) == [
        "test_good",
        "test_bad",
        "test_worse",
    ], "another implementation has its own memory"


@pytest.mark.parametrize("text", ["", "[]", '{"labs": 3}', '{"labs": {"lab01:test_good": []}}', "\0"])
def test_a_broken_memory_is_no_memory(kit: FakeKit, text: str) -> None:
    kit.lab("lab01", {"A": {"test_good": 1}}, "def test_good(): pass")
    file = kit.root / ".labkit" / "last-runs.json"
    file.parent.mkdir()
    file.write_text(text)

    assert kit.graded("lab01", "--failed")["score"] == 1
    assert json.loads(file.read_text())["labs"]["lab01:test_good"][0] == "passed"


def test_watch_grades_again_when_a_file_is_saved(kit: FakeKit) -> None:
    kit.lab("lab01", {"A": {"test_it": 1}}, "def test_it(): assert False")
    shown = kit.root / "shown"
    with (
        shown.open("w") as file,
        subprocess.Popen(
            kit.command("lab01", "--watch"), stdout=file, stderr=file, preexec_fn=ordinary_signals
        ) as child,
    ):
        until(lambda: "0 / 1" in shown.read_text(), "the first report")
        kit.tests("lab01", "def test_it(): pass")
        until(lambda: "1 / 1" in shown.read_text(), "the second report")
        child.send_signal(signal.SIGINT)
        assert child.wait(60) == 2
    assert "Traceback" not in shown.read_text()


@pytest.mark.parametrize(
    "event",
    [
        Collected({"a::b": ("lab01:b", 7)}),
        Unreadable(Path("tests/x.py"), "why"),
        Started("a::b"),
        Attempted("a::b", Attempt(7, 0.5, None, True)),
        Attempted("a::b", Attempt(7, 0.5, Outcome(Status.TIMEOUT, "\ud800 said", seen="x"), True, "trace")),
        Covered("faults", 3),
        Fault("what"),
        Ended(None),
        Ended("SIGINT"),
    ],
)
def test_what_a_worker_tells_arrives_as_it_was(event: Event) -> None:
    assert from_bytes(to_bytes(event)) == event


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"{",
        b"[1, 2, 3]",
        b'["Started", {}]',
        b'["Path", {"x": 1}]',
        b'["Attempted", {"attempt": 1}]',
        b"\x80\x04.",
    ],
)
def test_what_no_worker_tells_is_no_event(message: bytes) -> None:
    with pytest.raises(ValueError):
        from_bytes(message)

"""Each way a graded test can end, judged by one graded run of a fake lab."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from tests.test_grading_fake import FakeKit, results_of

_TESTS = """
from labkit.errors import CallTimeout

@claim("It works", hint="none", read="labs/01_rpc/README.md#a")
def test_passes(): print("noise on stdout")

@claim("Replies come once", hint="look at the table", read="labs/01_rpc/README.md#c")
def test_lab_failure():
    expect(1 == 2, "the reply came twice", expected=1, seen=2, witness="line one\\nline two", why="money")

@claim("Sums are right")
def test_plain_assert():
    total = 3
    assert total == 4

@claim("The harness holds")
def test_harness_fault(): raise HarnessFault("no more pids")

@claim("The test itself holds")
def test_bug_of_the_kit(): raise KeyError("oops")

@claim("The program answers")
def test_program_error(): raise CallTimeout("no answer")

@claim("Skipping shows nothing")
def test_skipped(): pytest.skip("lazy")

@pytest.mark.skip(reason="lazy")
@claim("Skipping by mark shows nothing")
def test_marked_skip(): pass

@pytest.mark.xfail
@claim("Expected failures show nothing")
def test_expected_failure(): assert False

@pytest.mark.xfail
@claim("Nor do unexpected passes")
def test_unexpected_pass(): pass

@pytest.mark.timeout(0.2)
@claim("It ends")
def test_hangs():
    try:
        while True: time.sleep(0.01)
    except Exception: pass

@pytest.fixture
def broken(): raise HarnessFault("no cluster")
@claim("Fixtures work")
def test_setup_fault(broken): pass

@pytest.fixture
def dirty():
    yield
    raise RuntimeError("left something behind")
@claim("Cleanup works")
def test_teardown_fault(dirty): pass

@claim("A fault is told even after a failure")
def test_failure_then_fault(dirty): raise LabFailure("wrong")

@pytest.fixture
def late():
    yield
    raise LabFailure("the node did not stop")
@claim("The node stops")
def test_teardown_failure(late): pass

@claim("Text is safe")
def test_nasty_text():
    raise LabFailure("\\x1b[2Jgone \\x00\\x08 [bold]x[/bold] \\udcff", seen="y" * 100_000, witness="w\\n" * 9000)

@pytest.mark.parametrize("n", [1, 2, 3])
@claim("All values work")
def test_parametrized(n): expect(n != 2, "two is wrong")

@claim("Written", read="labs/01_rpc/README.md#b")
def test_todo_one(): raise LabFailure("lab 1 part B: send the frame", kind=NOT_IMPLEMENTED)
@claim("Written too", read="labs/01_rpc/README.md#b")
def test_todo_two(): raise LabFailure("lab 1 part B: send the frame", kind=NOT_IMPLEMENTED)

def test_not_in_the_manifest(): raise KeyError("never run")
"""

_EXPECTED = {
    "test_passes": "passed",
    "test_lab_failure": "failed",
    "test_plain_assert": "failed",
    "test_harness_fault": "error",
    "test_bug_of_the_kit": "error",
    "test_program_error": "failed",
    "test_skipped": "missing",
    "test_marked_skip": "missing",
    "test_expected_failure": "missing",
    "test_unexpected_pass": "missing",
    "test_hangs": "timeout",
    "test_setup_fault": "error",
    "test_teardown_fault": "error",
    "test_failure_then_fault": "error",
    "test_teardown_failure": "failed",
    "test_nasty_text": "failed",
    "test_parametrized": "failed",
    "test_todo_one": "failed",
    "test_todo_two": "failed",
    "test_nowhere": "missing",
}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    kit = FakeKit(tmp_path_factory.mktemp("kit"))
    kit.lab("lab01", {"A": dict.fromkeys(_EXPECTED, 2)}, _TESTS)
    junit = kit.root / "report.xml"
    return {**kit.graded("lab01", "--seed", 7, "--junit", junit), "junit": junit, "root": kit.root}


@pytest.mark.parametrize("name", _EXPECTED)
def test_every_kind_of_end_has_its_status(report: dict[str, Any], name: str) -> None:
    test = results_of(report)[name]
    assert test["status"] == _EXPECTED[name]
    assert test["score"] == (2 if _EXPECTED[name] == "passed" else 0)
    assert bool(test["message"]) == (_EXPECTED[name] != "passed")


def test_only_passed_tests_score_and_a_fault_exits_with_two(report: dict[str, Any]) -> None:
    assert (report["score"], report["max_score"]) == (2, 40)
    assert report["run"].returncode == 2


def test_a_failure_teaches(report: dict[str, Any]) -> None:
    shown = report["run"].stdout
    for text in ("Replies come once", "the reply came twice", "line one", "line two", "money"):
        assert text in shown
    assert "look at the table" in shown and "labs/01_rpc/README.md#c" in shown
    assert "python3 grader.py lab01 --only test_lab_failure --seed 7" in shown


def test_a_plain_assert_says_what_and_where(report: dict[str, Any]) -> None:
    message = results_of(report)["test_plain_assert"]["message"]
    assert "assert 3 == 4" in message
    assert "labs/01_rpc/tests/test_all.py:" in message


def test_what_is_missing_is_told(report: dict[str, Any]) -> None:
    assert "skipped, so nothing was shown: lazy" in report["run"].stdout
    assert "the manifest has this test, but no such test was run" in report["run"].stdout


def test_a_timeout_says_how_long_and_where(report: dict[str, Any]) -> None:
    message = results_of(report)["test_hangs"]["message"]
    assert message.startswith("did not finish within its deadline of 0.2 s")
    assert "time.sleep(0.01)" in message


def test_an_error_of_the_program_is_the_students_and_named(report: dict[str, Any]) -> None:
    assert "CallTimeout: no answer" in results_of(report)["test_program_error"]["message"]


def test_a_test_counts_only_if_all_its_parameters_pass(report: dict[str, Any]) -> None:
    assert "1 of 3 failed" in results_of(report)["test_parametrized"]["message"]


def test_what_is_not_written_is_grouped_and_friendly(report: dict[str, Any]) -> None:
    shown = report["run"].stdout
    assert "Not written yet: 2 tests, 4 points" in shown
    assert shown.count("lab 1 part B: send the frame") == 1
    assert "test_todo_one, test_todo_two" in shown
    assert results_of(report)["test_todo_one"]["message"].startswith("not written yet: lab 1 part B")


def test_what_an_earlier_lab_lacks_is_said_first(tmp_path: Path) -> None:
    kit = FakeKit(tmp_path)
    code = """
        @claim("A", read="labs/02_gfs_master/README.md#a")
        def test_todo(): raise LabFailure("lab 1 part B: send the frame", kind=NOT_IMPLEMENTED)
    """
    kit.lab("lab02", {"A": {"test_todo": 2}}, code)
    shown = kit.graded("lab02")["run"].stdout
    assert "write lab01, or take the reference's" in shown
    assert "python3 grader.py lab02 --reference lab01 --only A" in shown
    assert "labs/02_gfs_master/README.md#a" not in shown


def test_student_text_is_harmless_everywhere(report: dict[str, Any]) -> None:
    message = results_of(report)["test_nasty_text"]["message"]
    texts = [message, report["run"].stdout, report["junit"].read_text()]
    for text in texts:
        assert not set(text) & set("\x1b\x00\x08\udcff")
        assert "[bold]x[/bold]" in text and "[2J" not in text
    assert len(message) < 20_000


def test_junit_is_well_formed_and_counts(report: dict[str, Any]) -> None:
    (suite,) = ET.parse(report["junit"]).getroot()
    kinds = list(_EXPECTED.values())
    assert suite.get("tests") == str(len(kinds))
    assert len(suite.findall("testcase/failure")) == kinds.count("failed") + kinds.count("timeout")
    assert len(suite.findall("testcase/error")) == kinds.count("error") + kinds.count("missing")
    assert suite.get("failures") == str(len(suite.findall("testcase/failure")))
    assert suite.get("errors") == str(len(suite.findall("testcase/error")))


def test_pytest_itself_is_silent(report: dict[str, Any]) -> None:
    assert report["run"].stderr == ""
    for noise in ("short test summary", "test session starts", "collected", "noise on stdout"):
        assert noise not in report["run"].stdout


def test_nothing_is_written_beside_the_requested_files(report: dict[str, Any]) -> None:
    known = {"lab.toml", "test_all.py", "__init__.py", "report.json", "report.xml", "last-runs.json"}
    assert {path.name for path in report["root"].rglob("*") if path.is_file()} == known


def test_failures_by_the_same_line_of_the_program_are_told_once(tmp_path: Path) -> None:
    kit = FakeKit(tmp_path)
    points = {"test_read": 1, "test_append": 2, "test_clone": 4, "test_other_line": 8, "test_wrong": 16}
    points |= {"test_busy": 32, "test_busy_too": 64, "test_just_busy": 128}
    code = """
        import os
        from harness.failures import BROKEN, TooBusy
        from harness.processes.places import describe

        def stumble(key):
            {}[key]

        def elsewhere(key):
            {}[key]

        def calls(key, program=stumble):
            try:
                program(key)
            except KeyError as error:
                return describe(error, {"tests": os.path.dirname(__file__)})["traceback"]

        def broken(message, key, program=stumble):
            witness = "cs1 answered with an error\\n" + calls(key, program)
            raise LabFailure(message, witness=witness, kind=BROKEN)

        def busy(message, known):
            error = TooBusy(message)
            error.known = known
            raise error

        @claim('Reads')
        def test_read(): broken("nothing is read", 1)
        @claim('Appends')
        def test_append(): broken("nothing is appended", 2)
        @claim('Clones')
        def test_clone(): broken("nothing is cloned", 3)
        @claim('Lists')
        def test_other_line(): broken("nothing is listed", 1, elsewhere)
        @claim('Wrong')
        def test_wrong(): expect(False, "no error, but wrong")
        @claim('Busy')
        def test_busy(): busy("5 s took 17 s", "a thread of cs1 died of this:\\n" + calls(4))
        @claim('Busy, too')
        def test_busy_too(): busy("2 s took 8 s", "a thread of cs2 died of this:\\n" + calls(5))
        @claim('Just busy')
        def test_just_busy(): busy("2 s took 9 s", "all threads slept")
    """
    kit.lab("lab01", {"A": points}, code)

    report = kit.graded("lab01")
    shown = report["run"].stdout

    assert "96 points lost: 2 tests, the same place in the program is behind each; one of them" in shown
    assert "128 points lost: Just busy" in shown
    assert "7 points lost: 3 tests, the same place in the program is behind each; one of them" in shown
    assert "test_read, test_append, test_clone" in shown
    assert shown.count("in stumble: {}[key]") == 2 and shown.count("in elsewhere: {}[key]") == 1
    assert "8 points lost: Lists" in shown and "16 points lost: Wrong" in shown
    assert "nothing is cloned" in results_of(report)["test_clone"]["message"]


def test_failures_by_a_program_that_never_rests_are_told_once(tmp_path: Path) -> None:
    kit = FakeKit(tmp_path)
    points = {"test_spins": 1, "test_spins_too": 2, "test_asks": 4, "test_asks_too": 8, "test_wrong": 16}
    code = """
        from harness.failures import BROKEN

        def broken(message, seen, line=0):
            witness = f"its busiest thread is at a/b.py line {line}, in spin" if line else None
            raise LabFailure(message, seen=seen, witness=witness, kind=BROKEN)

        @claim('Spins')
        def test_spins(): broken("cs1 does not rest", "2.1 s", 17)
        @claim('Spins too')
        def test_spins_too(): broken("cs2 does not rest", "0.2 s", 18)
        @claim('Asks')
        def test_asks(): broken("c1 asks without a rest, after: cs1 crashes", "1002 times")
        @claim('Asks too')
        def test_asks_too(): broken("c1 asks without a rest", "1003 times")
        @claim('Wrong')
        def test_wrong(): broken("c1 died", "")
    """
    kit.lab("lab01", {"A": points}, code)

    shown = kit.graded("lab01")["run"].stdout

    assert "3 points lost: 2 tests, the same place in the program is behind each; one of them" in shown
    assert shown.count("in spin") == 1
    assert "12 points lost: 2 tests, all for the same reason" in shown
    assert "16 points lost: Wrong" in shown

"""The command line: what is asked for, and what is wrong with it, in one sentence."""

from __future__ import annotations

import os
import pty
import re
import stat
import subprocess
from pathlib import Path

import pytest

from harness.grading import asked
from harness.grading.cli import Kit, main
from tests.test_grading_fake import FakeKit, results_of

_PARTS = {"A": {"test_a_one": 2, "test_a_two": 3}, "C": {"test_c": 5}}
_CODE = """
@claim("A one claims")
def test_a_one(): pass
@claim("A two claims")
def test_a_two(): pass
@claim("C claims")
def test_c(): pass
"""


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> FakeKit:
    kit = FakeKit(tmp_path_factory.mktemp("kit"))
    kit.lab("lab01", _PARTS, _CODE)
    kit.lab("lab04", {"C": {"test_other": 7}}, "@claim('Other claims')\ndef test_other(): pass")
    kit.lab("lab02", {"A": {}}, "")
    kit.lab("lab03", {"A": {}}, "")
    manifest = kit.root / "labs/02_gfs_master/lab.toml"
    for root in ("02_gfs_master", "03_chunkserver"):
        manifest = kit.root / "labs" / root / "lab.toml"
        manifest.write_text(manifest.read_text().replace("points = 0", "points = 10"))
    return kit


def complaint(kit: FakeKit, capfd: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one sentence a wrong command line is answered with."""
    assert main([str(word) for word in arguments], Kit(kit.root, "")) == 2
    said = capfd.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1 and said.err.startswith("grader: ")
    return said.err


def test_an_unknown_lab_is_answered_with_the_labs(kit: FakeKit, capfd: pytest.CaptureFixture[str]) -> None:
    assert "lab01, lab02, lab03, lab04" in complaint(kit, capfd, "lab9")
    assert "did you mean lab04" in complaint(kit, capfd, "lba04")


@pytest.mark.parametrize("said", ["lab01", "lab1", "1", "LAB01", "lab-1"])
def test_a_lab_is_understood_in_many_spellings(
    kit: FakeKit, capfd: pytest.CaptureFixture[str], said: str
) -> None:
    assert main([said, "--list"], Kit(kit.root, "")) == 0
    assert "Title of lab01" in capfd.readouterr().out


def test_the_list_has_parts_tests_titles_and_points(kit: FakeKit, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["all", "--list"], Kit(kit.root, "")) == 0
    shown = capfd.readouterr().out
    for text in ("lab01", "lab04", "Part C", "test_a_two", "A two claims", "10 points", "no tests yet"):
        assert text in shown


@pytest.mark.parametrize(
    ("words", "ids"),
    [
        (["A"], {"test_a_one", "test_a_two"}),
        (["a,test_c"], {"test_a_one", "test_a_two", "test_c"}),
        (["C"], {"test_c", "test_other"}),
        (["lab4:C"], {"test_other"}),
        (["lab01:test_c", "test_other"], {"test_c", "test_other"}),
    ],
)
def test_only_lists_what_it_names(
    kit: FakeKit, capfd: pytest.CaptureFixture[str], words: list[str], ids: set[str]
) -> None:
    options = [part for word in words for part in ("--only", word)]
    assert main(["all", "--list", *options], Kit(kit.root, "")) == 0
    assert {word for word in capfd.readouterr().out.split() if word.startswith("test_")} == ids


def test_only_counts_what_was_selected_and_says_so(kit: FakeKit) -> None:
    report = kit.graded("lab01", "--only", "test_a_two")
    assert (report["score"], report["max_score"]) == (3, 3)
    assert report["labs"][0]["parts"] == [{"part": "A", "title": "Part A", "score": 3, "max_score": 3}]
    assert list(results_of(report)) == ["test_a_two"]
    assert "Only the selected tests" in report["run"].stdout


def test_only_with_an_unknown_name_says_what_exists(kit: FakeKit, capfd: pytest.CaptureFixture[str]) -> None:
    assert "lab01 has parts A, C" in complaint(kit, capfd, "lab01", "--only", "Z")
    assert "did you mean test_a_one" in complaint(kit, capfd, "lab01", "--only", "test_a_on")
    assert "lab02 has parts A" in complaint(kit, capfd, "lab02", "--only", "lab04:C")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["lab01", "--seed", "x"], "--seed"),
        (["lab01", "--repeat", "0"], "--repeat"),
        (["lab01", "--wrong"], "--wrong"),
        (["lab01", "--reference", "lab7"], "there is no lab 'lab7'"),
        (["lab01", "--solution", "--submission", "."], "choose one"),
        (["lab01", "--submission", "/nowhere/at/all"], "does not exist"),
        (["lab01", "--submission", ""], "empty name"),
        (["lab01", "--json", "/nowhere/at/all"], "no directory /nowhere/at"),
        (["lab01", "--junit", "/"], "is a directory"),
        (["lab01", "--json", "same", "--junit", "same"], "same file"),
    ],
)
def test_wrong_options_are_answered_in_one_sentence(
    kit: FakeKit, capfd: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    assert says in complaint(kit, capfd, *arguments)


def test_a_broken_manifest_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    kit = FakeKit(tmp_path)
    kit.lab("lab01", _PARTS, _CODE)
    path = tmp_path / "labs/01_rpc/lab.toml"
    for before, after, says in (
        ("points = 2}", "points = 3}", "worth 6 points together, not 5"),
        ('name = "test_c"', 'name = "test_a_one"', "the test test_a_one is there twice"),
        ('part = "C"', 'part = "A"', "the part A is there twice"),
        ("points = 2}", "points = true}", "points must be a positive whole number"),
        ('lab = "lab01"', 'lab = "lab02"', "is the manifest of lab02"),
        ("[[parts]]", "[[parts", "cannot be read"),
    ):
        whole = path.read_text()
        path.write_text(whole.replace(before, after))
        sentence = complaint(kit, capfd, "lab01", "--list")
        assert says in sentence and str(path) in sentence
        path.write_text(whole)


def test_implementations_are_named_and_replayed(kit: FakeKit, tmp_path: Path) -> None:
    submission = tmp_path / "with space"
    kit.package(submission, "rpc")
    report = kit.graded("lab04", "--submission", submission, "--reference", "1,lab02", "--seed", 5)
    assert report["implementation"] == f"submission {submission} with reference lab01, lab02"
    replay = results_of(report)["test_other"]["replay"]
    options = f"--submission '{submission}' --reference lab01,lab02"
    assert replay == f"python3 grader.py lab04 {options} --only test_other --seed 5"
    assert results_of(report)["test_other"]["status"] == "failed"  # the submission has no chunkserver


def test_a_file_is_replaced_whole_and_keeps_usual_permissions(kit: FakeKit, tmp_path: Path) -> None:
    file, link = tmp_path / "out.xml", tmp_path / "link.xml"
    file.write_text("old")
    link.symlink_to(file)
    kit.graded("lab01", "--junit", link)
    assert file.read_text().startswith("<?xml") and link.is_symlink()
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(file.stat().st_mode) == 0o666 & ~umask
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.xml", "out.xml"]


def test_json_may_go_to_standard_output(kit: FakeKit) -> None:
    assert '"version": 1' in kit.run("lab01", "--json", "/dev/stdout").stdout


def test_without_a_terminal_each_test_has_a_plain_line(kit: FakeKit) -> None:
    quiet = kit.run("lab01").stdout
    assert "lab01 A  passed   test_a_one\n" in quiet and "\x1b" not in quiet
    assert " s  A one claims\n" in kit.run("lab01", "-v").stdout


@pytest.mark.parametrize("no_color", ["", "1"])
def test_on_a_terminal_a_live_line_and_colours(kit: FakeKit, no_color: str) -> None:
    environment = {**os.environ, "TERM": "xterm-256color", "NO_COLOR": no_color}
    if not no_color:
        del environment["NO_COLOR"]
    main_end, other_end = pty.openpty()
    with subprocess.Popen(kit.command("lab01", "--jobs", 1), stdout=other_end, env=environment) as child:
        os.close(other_end)
        shown = b""
        while piece := _read(main_end):
            shown += piece
    os.close(main_end)
    assert child.returncode == 0
    lines = dict(re.findall(rb"lab01 (\d)/3  ([\w ]+) claims", shown))  # the last one is drawn twice
    assert sorted(lines) == [b"1", b"2", b"3"]
    assert set(lines.values()) == {b"A one", b"A two", b"C"}  # what took long last time is first
    assert (b"\x1b[32m" in shown) == (not no_color)
    assert b"passed   test_a_one" not in shown


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # how Linux says that the other end of a terminal is closed
        return b""


def test_no_arguments_show_the_help_and_exit_with_two(kit: FakeKit) -> None:
    run = kit.run()
    assert run.returncode == 2 and "Usage:" in run.stderr
    assert kit.run("--help").returncode == 0


# Python 3.12 and later warn of a fork beside threads, which tests before this one may have left.
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_machine_that_is_too_small_is_said_before_and_after(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asked, "shortages", lambda: ("there is room for 7 more threads",))
    kit = FakeKit(tmp_path)
    kit.lab("lab01", {"C": {"test_c": 5}}, "@claim('C claims')\ndef test_c(): pass")
    assert main(["lab01"], Kit(kit.root, "")) == 0, "full points are full points"
    assert "On this machine there is room for 7 more threads" in capfd.readouterr().out
    kit.lab("lab01", {"C": {"test_c": 5}}, "@claim('C claims')\ndef test_c(): assert False")
    written = {kind: tmp_path / kind for kind in ("json", "junit")}
    options = [text for kind, file in written.items() for text in (f"--{kind}", str(file))]
    assert main(["lab01", *options], Kit(kit.root, "")) == 2
    shown = capfd.readouterr().out
    assert shown.index("On this machine there is room") < shown.index("Title of lab01")
    for text in (file.read_text() for file in written.values()):
        assert "there is room for 7 more threads" in text and "shortage" in text
    assert "These points may be too low, for on this machine there is room for 7 more threads." in shown

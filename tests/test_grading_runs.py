"""Isolation, seeds, repetition, interruption: how a graded run behaves as a whole."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from harness.grading.seeds import derive
from tests.test_grading_fake import REPOSITORY, FakeKit, results_of


@pytest.fixture
def kit(tmp_path: Path) -> FakeKit:
    return FakeKit(tmp_path)


def test_a_file_that_cannot_be_loaded_is_a_fault_and_the_others_are_graded(kit: FakeKit) -> None:
    kit.lab("lab01", {"A": {"test_good": 1, "test_lost": 2}}, "def test_good(): pass")
    kit.tests("lab01", "import nowhere\n@claim('Is found')\ndef test_lost(): pass", "test_broken.py")

    report = kit.graded("lab01")

    tests = results_of(report)
    assert tests["test_good"]["status"] == "passed"
    assert tests["test_lost"]["status"] == "error"
    assert tests["test_lost"]["title"] == "Is found"
    assert "No module named 'nowhere'" in tests["test_lost"]["message"]
    assert report["run"].returncode == 2


def test_what_lies_about_cannot_change_a_result(kit: FakeKit) -> None:
    kit.lab("lab01", {"A": {"test_no": 1}}, "def test_no(): assert False")
    submission = kit.root / "submission"
    kit.package(submission, "rpc")
    cheat = "import pytest\n@pytest.hookimpl(wrapper=True)\ndef pytest_pyfunc_call(pyfuncitem):\n"
    cheat += "    try: yield\n    except BaseException: pass\n    return True\n"
    for place in (submission, submission / "rpc", kit.root, kit.root / "labs/01_rpc/tests"):
        (place / "conftest.py").write_text(cheat)
        (place / "pytest.ini").write_text("[pytest]\naddopts = --co\n")
        (place / "sitecustomize.py").write_text("raise SystemExit('read')")
    (submission / "cheat.py").write_text(cheat)

    report = kit.graded(
        "lab01",
        "--submission",
        submission,
        PYTEST_ADDOPTS="--collect-only",
        PYTEST_PLUGINS="nowhere",
        PYTEST_TIMEOUT="nonsense",
    )

    assert results_of(report)["test_no"]["status"] == "failed", report
    assert report["run"].returncode == 1


def test_a_package_missing_in_a_submission_fails_only_the_labs_that_need_it(kit: FakeKit) -> None:
    kit.lab(
        "lab01", {"A": {"test_one": 1}}, "def test_one(workspace): assert list(workspace.roots) == ['rpc']"
    )
    kit.lab("lab02", {"A": {"test_two": 1}}, "def test_two(): pass")
    kit.lab("lab03", {"A": {"test_three": 1}}, "def test_three(): pass")
    kit.lab("lab04", {"A": {"test_four": 1}}, "def test_four(): pass")
    submission = kit.root / "submission"
    kit.package(submission, "rpc")
    kit.package(submission, "chunkserver")

    report = kit.graded("all", "--submission", submission)

    statuses = {name: test["status"] for name, test in results_of(report).items()}
    assert statuses == {
        "test_one": "passed",
        "test_two": "failed",
        "test_three": "passed",
        "test_four": "failed",
    }
    assert "has no package gfs_master" in results_of(report)["test_two"]["message"]
    assert report["run"].returncode == 1


_SEEDED = """
@claim("The seed is recorded")
def test_seeded(seed, tmp_path): raise LabFailure(f"seed is {seed}")
def test_other(seed): pass
"""


def test_the_replay_command_gives_the_same_seed_again(kit: FakeKit) -> None:
    kit.lab("lab01", {"A": {"test_seeded": 1, "test_other": 1}}, _SEEDED)

    whole = results_of(kit.graded("lab01", "--seed", 12))["test_seeded"]
    words = whole["replay"].split()[2:]
    alone = results_of(kit.graded(*words))["test_seeded"]

    assert whole["message"] == alone["message"]
    assert f"seed is {derive(12, 'test_seeded')}" in whole["message"]


def test_repetitions_use_successive_seeds_and_all_must_pass(kit: FakeKit) -> None:
    bad = [derive(11, "test_flaky"), derive(12, "test_flaky")]
    code = f"def test_flaky(seed): expect(seed not in {bad}, 'unlucky')\ndef test_calm(): pass"
    kit.lab("lab01", {"A": {"test_flaky": 1, "test_calm": 1}}, code)

    report = kit.graded("lab01", "--seed", 10, "--repeat", 4)

    flaky = results_of(report)["test_flaky"]
    assert flaky["status"] == "failed"
    assert "2 of 4 failed, first with seed 11" in flaky["message"]
    assert flaky["replay"].endswith("--only test_flaky --seed 11")
    assert results_of(report)["test_calm"]["status"] == "passed"
    assert results_of(kit.graded("lab01", "--only", "test_flaky", "--seed", 11))["test_flaky"]["score"] == 0
    assert results_of(kit.graded("lab01", "--only", "test_flaky", "--seed", 10))["test_flaky"]["score"] == 1


def test_seeds_do_not_depend_on_the_machine_or_the_process() -> None:
    assert derive(1, "test_x") == 4715996066523131972
    assert derive(1, "test_x") != derive(2, "test_x") != derive(2, "test_y")


_INTERRUPTED = """
@pytest.fixture
def held():
    yield
    print("cleaning")
    with open(os.environ["WITNESS"], "a") as file: file.write("torn down ")
def test_first(): pass
def test_stopped(held):
    os.kill(os.getpid(), int(os.environ["SIGNAL"]))
    time.sleep(50)
def test_never(): pass
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda one: one.name)
def test_an_interrupted_run_tears_down_and_says_what_it_has(kit: FakeKit, number: signal.Signals) -> None:
    parts = {"A": {"test_first": 1, "test_stopped": 1, "test_never": 1}}
    kit.lab("lab01", parts, _INTERRUPTED)
    witness = kit.root / "witness"

    run = kit.run("lab01", "--jobs", 1, "--json", "out.json", WITNESS=str(witness), SIGNAL=str(int(number)))

    assert run.returncode == 2, run.stderr
    assert f"interrupted by {number.name} after 1 of 3 tests" in run.stdout
    assert witness.read_text() == "torn down "
    assert not (kit.root / "out.json").exists()
    assert "Traceback" not in run.stdout + run.stderr


_DURING_TEARDOWN = """
@pytest.fixture
def held():
    yield
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGTERM)
    with open(os.environ["WITNESS"], "a") as file: file.write("torn down ")
def test_first(held): pass
def test_never(): pass
"""


def test_an_interruption_never_cuts_a_teardown_short(kit: FakeKit) -> None:
    kit.lab("lab01", {"A": {"test_first": 1, "test_never": 1}}, _DURING_TEARDOWN)
    witness = kit.root / "witness"

    run = kit.run("lab01", "--jobs", 1, WITNESS=str(witness))

    assert run.returncode == 2
    assert witness.read_text() == "torn down "
    assert "interrupted by SIGINT after 1 of 2 tests" in run.stdout


def test_a_reader_that_goes_away_does_not_stop_the_grading(kit: FakeKit) -> None:
    kit.lab("lab01", {"A": {"test_yes": 1}}, "def test_yes(): pass")
    file = kit.root / "out.json"
    reading, writing = os.pipe()
    os.close(reading)

    with os.fdopen(writing, "w") as closed:
        run = subprocess.run(
            kit.command("lab01", "--json", file),
            stdout=closed,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert (run.returncode, run.stderr) == (0, "")
    assert file.exists()


def test_plain_pytest_runs_graded_tests_too(kit: FakeKit) -> None:
    kit.lab(
        "lab02",
        {"A": {"test_it": 1}},
        "def test_it(workspace, seed): assert list(workspace.missing) + [seed]",
    )
    submission = kit.root / "submission"
    kit.package(submission, "rpc")
    kit.package(submission, "gfs_master")
    tests = kit.root / "labs/02_gfs_master/tests"
    options = ["-p", "harness.grading.plugin", "--implementation", str(submission), "--lab-seed", "3"]

    command = [kit.command()[0], "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, str(tests)]
    run = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)

    assert "1 passed" in run.stdout, run.stdout

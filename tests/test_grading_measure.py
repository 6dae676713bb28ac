"""`grader.py measure`: tables of figures, or a sentence that says why there are none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.failures import HarnessFault, LabFailure
from harness.grading import measure as module
from harness.grading.cli import main
from harness.measurements import Run, Table

GOOD = Table("How long", ("n", "ms", "who"), [(1000, 2.5, "x"), (2, 12345.6, "y")], "See this.")


def measured(monkeypatch: pytest.MonkeyPatch, tables: list[Table | Exception]) -> None:
    def run(run: Run) -> Iterator[Table]:
        with run.make_cluster() as cluster:
            cluster.add("n", "idle")
            cluster.start("n")
        for one in tables:
            if isinstance(one, Exception):
                raise one
            yield one

    monkeypatch.setattr(module, "measurements_of", lambda lab: run)


def test_tables_are_printed_and_written(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    measured(monkeypatch, [GOOD])
    file = tmp_path / "out.json"
    assert main(["measure", "lab1", "--solution", "--seed", "3", "--json", str(file)]) == 0
    shown = capfd.readouterr().out
    for text in ("lab01, solution, seed 3", "How long", "1,000", "12,346", "2.5", "See this."):
        assert text in shown
    written = json.loads(file.read_text())
    assert (written["lab"], written["seed"], written["tables"][0]["rows"][0]) == (
        "lab01",
        3,
        [1000, 2.5, "x"],
    )


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (LabFailure("it hangs", expected="an answer"), 1, "the measurement stopped: it hangs"),
        (HarnessFault("no zygote"), 2, "fault of the harness: no zygote"),
    ],
)
def test_a_failure_is_told_after_the_tables_before_it(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], error: Exception, code: int, says: str
) -> None:
    measured(monkeypatch, [GOOD, error])
    assert main(["measure", "lab01", "--solution"]) == code
    shown = capfd.readouterr().out
    assert "See this." in shown and says in shown


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["lab9"], "there is no lab 'lab9'"),
        (["lab01", "--submission", "/nowhere/at/all"], "does not exist"),
        (["lab01", "--solution", "--json", "/nowhere/at/all"], "no directory /nowhere/at"),
        ([], "Missing argument 'LAB'"),
    ],
)
def test_wrong_arguments_are_answered_in_one_sentence(
    capfd: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    assert main(["measure", *arguments]) == 2
    said = capfd.readouterr()
    assert said.out == "" and says in said.err and said.err.count("\n") == 1

"""The checker against small histories on file, its explanations, and its command."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness.checker import Anomaly, Judgement, Name, Verdict, check, explain
from harness.checker.__main__ import main
from harness.checker.anomaly import Guarantee
from harness.checker.drawing import dot
from harness.checker.evidence import Evidence
from harness.checker.guarantees import BASE, STRICT
from harness.checker.models import DEMANDS, lattice, models, name
from harness.history import History
from harness.patience import longest

HISTORIES = Path(__file__).parent / "histories"
GOOD = sorted((HISTORIES / "ok").glob("*.jsonl"))
BAD = sorted((HISTORIES / "bad").glob("*.jsonl"))
BEYOND = sorted((HISTORIES / "beyond").glob("*.jsonl"))  # legal in GFS, too much for a stricter model
SLUGS = sorted((guarantee.name.value for guarantee in (*BASE, *STRICT)), key=len, reverse=True)

# How many operations the smallest witness of each anomaly needs at most.
OPERATIONS = {
    "lost-append": 2,
    "doubly-acknowledged-offset": 2,
    "phantom-record": 2,
    "torn-record": 1,
    "divergent-replicas": 3,
    "order-cycle": 2,
    "unexplained-inconsistency": 0,
    "straddling-record": 1,
    "oversized-record": 1,
    "stale-read": 3,
    "resurrected-replica": 0,
    "lost-write": 2,
    "mingled-write": 3,
    "duplicate-record": 1,
    "partial-record": 1,
    "outdated-read": 2,
    "trace-of-failure": 2,
    "reordered-chunks": 2,
    "sequence-cycle": 4,
    "unlinearizable-log": 3,
    "unrecovered-record": 2,
}

# What a violation may bring along: two records at one offset cannot both be there.
CONSEQUENCES = {
    "doubly-acknowledged-offset": {"lost-append", "torn-record"},
    "divergent-replicas": {"lost-append", "unexplained-inconsistency"},
    "straddling-record": {"torn-record"},
    "lost-write": {"unexplained-inconsistency"},
    "outdated-read": {"unlinearizable-log"},
    "reordered-chunks": {"unlinearizable-log"},
    "sequence-cycle": {"unlinearizable-log", "outdated-read"},
    "unrecovered-record": {"partial-record"},
}


def slug_of(path: Path) -> str:
    return next(slug for slug in SLUGS if path.stem.startswith(slug))


def bad(stem: str) -> History:
    return History.load(HISTORIES / "bad" / f"{stem}.jsonl")


def good(stem: str) -> History:
    return History.load(HISTORIES / "ok" / f"{stem}.jsonl")


def first(stem: str) -> Anomaly:
    return check(bad(stem)).anomalies[0]


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_legal_history_is_valid(path: Path) -> None:
    history = History.load(path)
    verdict = check(history)
    assert verdict.judgement is Judgement.VALID, explain(verdict, history)
    assert verdict.standing.satisfied[0] == "gfs"


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_violation_is_named_first_with_a_small_witness(path: Path) -> None:
    verdict = check(History.load(path))
    assert verdict.judgement is Judgement.INVALID
    anomaly = verdict.anomalies[0]
    assert anomaly.name.value == slug_of(path)
    assert len(anomaly.witness.operations) <= OPERATIONS[anomaly.name.value]
    assert anomaly.section.startswith("GFS §")
    names = {anomaly.name.value for anomaly in verdict.anomalies}
    assert names - {slug_of(path)} <= CONSEQUENCES.get(slug_of(path), set())


@pytest.mark.parametrize("path", BEYOND, ids=lambda path: path.stem)
def test_what_only_a_stricter_model_forbids_is_legal_and_named(path: Path) -> None:
    verdict = check(History.load(path))
    assert verdict.judgement is Judgement.VALID
    names = {anomaly.name.value for anomaly in verdict.standing.shortfalls}
    assert slug_of(path) in names
    assert names - {slug_of(path)} <= CONSEQUENCES.get(slug_of(path), set())
    for anomaly in verdict.standing.shortfalls:
        assert len(anomaly.witness.operations) <= OPERATIONS[anomaly.name.value]


@pytest.mark.parametrize("guarantee", [*BASE, *STRICT], ids=lambda guarantee: guarantee.name.value)
def test_every_guarantee_has_its_histories(guarantee: Guarantee) -> None:
    slug, paths = guarantee.name.value, BAD if guarantee in BASE else BEYOND
    own_bad = [History.load(path) for path in paths if slug_of(path) == slug]
    own_good = [History.load(path) for path in GOOD if slug_of(path) == slug]
    assert own_bad and own_good
    assert all(guarantee.anomalies(Evidence.of(history)) for history in own_bad)
    assert not any(guarantee.anomalies(Evidence.of(history)) for history in own_good)
    assert all(history.meta.note for history in (*own_bad, *own_good))


@pytest.mark.parametrize("path", (*BAD, *BEYOND), ids=lambda path: path.stem)
def test_edges_of_a_witness_are_a_cycle_of_its_operations(path: Path) -> None:
    verdict = check(History.load(path))
    for anomaly in (*verdict.anomalies, *verdict.standing.shortfalls):
        around = [(one, other) for one, other, _ in anomaly.witness.edges]
        size = len(around)
        assert around == [(number, (number + 1) % size) for number in range(size)]
        assert size in (0, len(anomaly.witness.operations))
        assert size <= History.load(path).meta.replicas + 2


def test_examples_of_one_guarantee_are_capped() -> None:
    history = bad("lost-append-at-the-end")
    empty = replace(history.replicas[2], length=0, segments=())
    nothing = replace(history, replicas=tuple(replace(empty, server=f"cs{n}") for n in (1, 2, 3)))
    assert len(check(nothing).anomalies) == 3


# Explanations


def test_lost_append_shows_what_stands_there_instead() -> None:
    history = bad("lost-append-on-one-replica")
    text = explain(check(history), history)
    assert "INVALID: lost-append" in text
    assert "cs2 holds c1-2, 200 bytes, at offset 200" in text
    assert "instead:   cs2 holds padding" in text
    assert "200..400 | inconsistent | record c1-2 | padding | record c1-2" in text


def test_timeline_holds_the_faults_after_the_append_began() -> None:
    history = bad("lost-append-on-one-replica")
    lines = explain(check(history), history).splitlines()
    moments = [line.strip() for line in lines if line.strip().startswith("2.")]
    assert [moment.split(maxsplit=1)[1].split()[0] for moment in moments[:2]] == ["c1", "append"]
    assert "fault: crash cs2 after it had answered append" in moments[2]


def test_witness_of_three_replicas_is_a_cycle_of_three_records() -> None:
    anomaly = first("divergent-replicas-three")
    assert {append.op for append in anomaly.witness.operations} == {1, 2, 3}
    assert len(anomaly.witness.replicas) == 3


def test_witness_of_far_order_cycle_is_two_records() -> None:
    assert [operation.op for operation in first("order-cycle-far-apart").witness.operations] == [1, 4]


def test_witness_of_stale_read_names_the_opening_that_bounds_it() -> None:
    assert [operation.op for operation in first("stale-read-after-opening").witness.operations] == [2, 3, 4]
    assert len(first("stale-read").witness.operations) == 2


def test_region_witness_has_a_column_for_each_replica() -> None:
    table = first("unexplained-inconsistency").witness.table
    assert table is not None
    assert table.servers == ("cs1", "cs2", "cs3")
    assert [(region.start, region.end) for region in table.regions] == [(300, 340)]


def test_a_contradiction_is_drawn_as_a_loop() -> None:
    history = bad("order-cycle")
    text = explain(check(history), history)
    assert "(append 1 of c1-1) --[was acknowledged before it began]--> (append 2 of c2-1)" in text
    assert "(append 2 of c2-1) --[stands before it in the chunk]--> (append 1 of c1-1)" in text


def test_mixture_of_split_writes_is_counted_as_undefined() -> None:
    assert check(good("mingled-write-split")).statistics.undefined_bytes == 300
    assert check(good("mingled-write-between-chunks")).statistics.undefined_bytes == 400
    assert check(good("mingled-write-nested")).statistics.undefined_bytes == 0


# Verdicts


def test_no_dump_is_unknown_never_valid() -> None:
    history = replace(good("straddling-record-at-the-boundary"), chunks=(), replicas=())
    verdict = check(history)
    assert verdict.judgement is Judgement.UNKNOWN
    assert not verdict.valid
    assert verdict.standing.satisfied == ()
    assert "the final dump shows no chunk" in explain(verdict, history)


def test_chunk_without_a_live_current_replica_is_unknown() -> None:
    history = good("straddling-record-at-the-boundary")
    gone = tuple(replica for replica in history.replicas if replica.handle != 8)
    verdict = check(replace(history, replicas=gone))
    assert verdict.judgement is Judgement.UNKNOWN
    assert "no replica of its chunk 1" in verdict.reasons[0]


def test_violation_that_is_seen_wins_over_unknown() -> None:
    history = bad("phantom-record-read")
    assert check(replace(history, chunks=(), replicas=())).judgement is Judgement.INVALID


def test_nothing_observed_is_unknown() -> None:
    history = good("straddling-record-at-the-boundary")
    nothing = replace(history, appends=(), scans=(), chunks=(), replicas=())
    assert check(nothing).judgement is Judgement.UNKNOWN


# Models


def standing(stem: str) -> Verdict:
    return check(good(stem))


def test_clean_run_satisfies_every_model() -> None:
    verdict = standing("unrecovered-record-taken-over")
    assert len(verdict.standing.satisfied) == len(list(models())) == 144
    (strongest,) = verdict.standing.strongest
    assert strongest == "gfs+no-duplicates+all-or-none+recovery+failed-means-absent+linearizable"


@pytest.mark.parametrize(
    ("stem", "strongest", "shortfalls"),
    [
        (
            "stale-read-within-the-cache",
            "gfs+no-duplicates+all-or-none+failed-means-absent+chunks-in-order+sequential",
            {Name.OUTDATED_READ, Name.UNLINEARIZABLE_LOG},
        ),
        (
            "unexplained-inconsistency-failed",
            "gfs+no-duplicates+linearizable",
            {Name.PARTIAL_RECORD, Name.TRACE_OF_FAILURE},
        ),
        (
            "unexplained-inconsistency-retried",
            "gfs+failed-means-absent+linearizable",
            {Name.DUPLICATE_RECORD, Name.PARTIAL_RECORD},
        ),
    ],
)
def test_what_gfs_allows_breaks_stricter_models(stem: str, strongest: str, shortfalls: set[Name]) -> None:
    verdict = standing(stem)
    assert verdict.standing.strongest == (strongest,)
    assert {anomaly.name for anomaly in verdict.standing.shortfalls} == shortfalls


def test_models_are_named_by_what_they_add() -> None:
    assert name(frozenset()) == "gfs"
    assert name(frozenset({Name.DUPLICATE_RECORD, Name.PARTIAL_RECORD})) == "gfs+no-duplicates+all-or-none"
    assert len(set(map(name, models()))) == 144


def test_models_form_a_lattice() -> None:
    every = set(models())
    assert all(one & other in every and one | other in every for one in every for other in every)
    weakest = {weak for _, weak in lattice()} - {strong for strong, _ in lattice()}
    assert weakest == {frozenset()}


def test_a_run_satisfies_just_what_is_below_its_strongest_model() -> None:
    for path in (*GOOD, *BEYOND):
        verdict = check(History.load(path))
        broken = {anomaly.name for anomaly in verdict.standing.shortfalls}
        unjudged = {slug for slug, _ in verdict.standing.unjudged}
        broken |= {anomaly for anomaly, slug in DEMANDS.items() if slug in unjudged}
        assert verdict.standing.satisfied == tuple(name(model) for model in models() if not model & broken)


# Statistics


def test_legal_waste_is_reported() -> None:
    numbers = standing("unexplained-inconsistency-retried").statistics
    assert (numbers.stored_bytes, numbers.padding_bytes) == (1800, 310)
    assert (numbers.placements, numbers.duplicates, numbers.inconsistent_bytes) == (3, 1, 200)
    assert numbers.duplicate_share == pytest.approx(1 / 3)


# The command


@pytest.mark.parametrize(
    ("path", "status"),
    [("ok/order-cycle-concurrent.jsonl", 0), ("bad/order-cycle.jsonl", 1), ("absent.jsonl", 2)],
)
def test_exit_status_tells_the_verdict(path: str, status: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(HISTORIES / path)]) == status
    printed = capsys.readouterr()
    assert ("VALID" in printed.out) is (status < 2)
    assert ("error:" in printed.err) is (status == 2)


def test_graph_is_written_as_graphviz_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    graph = tmp_path / "witness.dot"
    main([str(HISTORIES / "bad" / "divergent-replicas-three.jsonl"), "--graph", str(graph)])
    written = graph.read_text()
    assert written.startswith("digraph") and written.count("{") == written.count("}")
    assert 'a1_0 -> a1_1 [label="before it on cs1"]' in written
    assert 'a1_2 -> a1_0 [label="before it on cs3"]' in written
    assert main([str(HISTORIES / "bad" / "order-cycle.jsonl"), "--graph", str(tmp_path)]) == 2
    assert "cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize("path", (*BAD, *BEYOND), ids=lambda path: path.stem)
def test_every_witness_can_be_drawn(path: Path) -> None:
    verdict = check(History.load(path))
    shown = (*verdict.anomalies, *verdict.standing.shortfalls)
    text = dot(shown)
    for anomaly in shown:
        assert anomaly.name.value in text
        assert all(str(operation.op) in text for operation in anomaly.witness.operations)


def test_writes_without_a_dump_are_unknown() -> None:
    history = good("mingled-write-nested")
    verdict = check(replace(history, chunks=(), replicas=()))
    assert verdict.judgement is Judgement.UNKNOWN
    assert "writes to /page were acknowledged" in verdict.reasons[0]


def test_exit_status_of_unknown_is_its_own(tmp_path: Path) -> None:
    history = replace(good("order-cycle-concurrent"), chunks=(), replicas=())
    history.save(tmp_path / "history.jsonl")
    assert main([str(tmp_path / "history.jsonl")]) == 3


def test_usage_error_has_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([])
    assert caught.value.code == 2
    assert "usage" in capsys.readouterr().err


def test_closed_pipe_keeps_the_status() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "harness.checker", str(HISTORIES / "bad" / "order-cycle.jsonl")]
    done = subprocess.run(
        command,
        stdout=writing,
        stderr=subprocess.PIPE,
        cwd=HISTORIES.parents[1],
        check=False,
        timeout=longest(60),
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


def ahead(history: History) -> History:
    """The same, but the version of every replica was raised once more, and the master's was not."""
    return replace(history, replicas=tuple(replace(one, version=one.version + 1) for one in history.replicas))


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_replicas_whose_version_was_raised_in_vain_are_current(path: Path) -> None:
    history = History.load(path)
    assert check(ahead(history)).judgement is check(history).judgement is Judgement.VALID


def test_replicas_whose_version_was_raised_in_vain_have_to_hold_what_was_acknowledged() -> None:
    verdict = check(ahead(History.load(HISTORIES / "bad" / "lost-append-on-one-replica.jsonl")))
    assert Name.LOST_APPEND in {anomaly.name for anomaly in verdict.anomalies}

"""What new primaries had to take over: histories on file with leases and who had what, and what is made of too little."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from harness.checker import check, explain
from harness.checker.drawing import dot
from harness.history import DataId, Handle, History, OpId, Outcome, Write

HISTORIES = Path(__file__).parent / "histories"


def good(stem: str) -> History:
    return History.load(HISTORIES / "ok" / f"{stem}.jsonl")


def forgotten() -> History:
    return History.load(HISTORIES / "beyond" / "unrecovered-record.jsonl")


def test_what_the_history_does_not_show_satisfies_no_demand_and_breaks_none() -> None:
    history = good("doubly-acknowledged-offset-adjacent")
    verdict = check(history)
    assert verdict.valid and not verdict.standing.shortfalls
    assert len(verdict.standing.satisfied) == 72
    assert verdict.standing.strongest == ("gfs+no-duplicates+all-or-none+failed-means-absent+linearizable",)
    ((demand, why),) = verdict.standing.unjudged
    assert demand == "recovery" and "no lease of chunk 0 of /log was seen" in why
    assert "recovery is not judged: no lease" in explain(verdict, history)


def test_a_lease_of_another_chunk_is_no_evidence_for_this_one() -> None:
    history = good("unrecovered-record-taken-over")
    others = tuple(replace(grant, handle=Handle(8)) for grant in history.grants)
    assert check(replace(history, grants=others)).standing.unjudged
    assert not check(history).standing.unjudged


def test_the_witness_of_an_unrecovered_record_says_who_had_it_and_who_came_next() -> None:
    history = forgotten()
    (anomaly,) = check(history).standing.shortfalls
    assert anomaly.observed == "at 200 cs2 holds record c2-1; cs3 holds record c2-1"
    assert anomaly.sentence.startswith("cs2 had c1-2 at 200 when cs3 became primary of version 3;")
    assert [operation.op for operation in anomaly.witness.operations] == [2, 3]
    had, offered = anomaly.witness.moments
    assert had == (2.2, "cs2 has c1-2 at 200, at version 2")
    assert offered == (70.0, "the lease is offered to cs3 with cs2, at version 3")
    assert "cs2 has c1-2 at 200" in dot([anomaly])
    text = explain(replace(check(history), anomalies=(anomaly,)), history)
    assert "70.000  the lease is offered to cs3 with cs2" in text


def test_who_was_left_out_once_need_not_have_been_asked() -> None:
    history = forgotten()
    without = replace(history.grants[1], version=4, secondaries=(), time=72.0)
    verdict = check(replace(history, grants=(*history.grants, without)))
    assert not verdict.standing.shortfalls


def test_plain_writes_go_over_records_by_right() -> None:
    write = Write(OpId(9), "c2", "/log", DataId("w9"), 800, 10, 80.0, 81.0, Outcome.UNKNOWN, 1)
    verdict = check(replace(forgotten(), writes=(write,)))
    assert verdict.valid and not verdict.standing.shortfalls

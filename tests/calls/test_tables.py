"""Lab 1's reference: retries, the duplicate table, sessions, as pure decisions."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import pytest


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

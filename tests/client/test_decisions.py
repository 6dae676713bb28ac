"""What the client decides without talking to anybody: cache, patience, what an error means."""

from __future__ import annotations

import random
from typing import Any

import pytest

from labkit.protocol import CATALOGUE
from tests.client.world import remote


def test_an_answer_is_believed_for_its_lifetime_from_the_question_on(lab: Any) -> None:
    locations = lab("locations")
    cache = locations.Locations(60.0)
    chunk, lease = locations.Chunk(1, 2, ("a",)), locations.Lease("a", ("b",), 2)
    cache.remember_chunk("/f", 0, chunk, 100.0)
    cache.remember_lease(1, lease, 100.0)
    cache.remember_last("/f", 0, 100.0)
    assert (cache.chunk("/f", 0, 159.9), cache.lease(1, 159.9), cache.last_index("/f", 159.9)) == (
        chunk,
        lease,
        0,
    )
    assert (cache.chunk("/f", 0, 160.0), cache.lease(1, 160.0), cache.last_index("/f", 160.0)) == (None,) * 3


def test_forgetting_takes_one_path_or_chunk_or_lease(lab: Any) -> None:
    locations = lab("locations")
    cache = locations.Locations(60.0)
    chunk, lease = locations.Chunk(1, 2, ("a",)), locations.Lease("a", (), 2)
    for path in ("/f", "/g"):
        cache.remember_last(path, 1, 0.0)
        for index in (0, 1):
            cache.remember_chunk(path, index, chunk, 0.0)
    cache.remember_lease(1, lease, 0.0)
    cache.forget_chunk("/f", 0)
    assert (cache.chunk("/f", 0, 1.0), cache.chunk("/f", 1, 1.0), cache.last_index("/f", 1.0)) == (
        None,
        chunk,
        1,
    )
    cache.forget("/f")
    assert (cache.chunk("/f", 1, 1.0), cache.last_index("/f", 1.0)) == (None, None)
    assert (cache.chunk("/g", 0, 1.0), cache.last_index("/g", 1.0), cache.lease(1, 1.0)) == (chunk, 1, lease)
    cache.forget_lease(1)
    cache.forget_last("/g")
    cache.forget_chunk("/nowhere", 3)
    assert (cache.lease(1, 1.0), cache.last_index("/g", 1.0), cache.chunk("/g", 1, 1.0)) == (
        None,
        None,
        chunk,
    )


def test_patience_rests_longer_each_time_and_ends(lab: Any) -> None:
    patience = lab("patience").Patience(1000.0, 300.0, random.Random(1))
    now, pauses = 1000.0, []
    while (pause := patience.pause(now)) is not None:
        pauses.append(pause)
        now += pause
    for failures, pause in enumerate(pauses):
        full = min(8.0, 0.5 * 2**failures)
        assert full / 2 <= pause <= full
    assert 1300.0 <= now < 1308.0
    assert len({round(pause, 6) for pause in pauses}) == len(pauses), "jitter"


def test_only_the_first_failures_are_repeated_at_once(lab: Any) -> None:
    patience = lab("patience").Patience(0.0, 300.0, random.Random(1))
    pauses = [patience.pause(0.0, at_once=True) for _ in range(5)]
    assert pauses[:3] == [0.0] * 3
    assert all(pause >= 1.0 for pause in pauses[3:])


def test_a_jump_of_the_clock_does_not_use_up_the_attempts(lab: Any) -> None:
    patience = lab("patience").Patience(0.0, 300.0, random.Random(1))
    after_a_jump = [patience.pause(3 * 24 * 3600.0) for _ in range(3)]
    assert [pause is None for pause in after_a_jump] == [False, False, True]


DECISIONS = {
    "chunk_full": ("NEXT_CHUNK", True),
    "unknown_data": ("PUSH_AGAIN", True),
    "not_primary": ("ASK_FOR_LEASE", True),
    "stale_version": ("ASK_FOR_LEASE", True),
    "no_such_chunk": ("LOOK_AGAIN", True),
    "shared_chunk": ("COPY_CHUNK", True),
    "no_such_file": ("GIVE_UP", False),
    "invalid_path": ("GIVE_UP", False),
    "too_large": ("GIVE_UP", False),
    "no_replica": ("ASK_FOR_LEASE", False),
    "replica_failed": ("ASK_FOR_LEASE", False),
    "corrupt": ("ASK_FOR_LEASE", False),
    "session_lost": ("ASK_FOR_LEASE", False),
    "handler_failed": ("ASK_FOR_LEASE", False),
    "a code from the future": ("ASK_FOR_LEASE", False),
}


@pytest.mark.parametrize("code", DECISIONS)
def test_every_error_has_its_step(lab: Any, code: str) -> None:
    step = lab("retry").after(remote(code))
    assert (step.next.name, step.at_once) == DECISIONS[code]


def test_every_error_an_append_can_meet_is_decided_on() -> None:
    methods = ("stat", "lookup", "allocate", "lease", "push", "append")
    assert {code for name in methods for code in CATALOGUE[name].errors} <= set(DECISIONS)

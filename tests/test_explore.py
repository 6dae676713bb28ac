"""Schedules as data, which of them are drawn, and what is left of one that failed. Nothing runs here."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any, cast

import pytest

from harness.cluster import Cluster
from harness.explore import Deed, Explorer, Schedule, Strike, Trial, report
from harness.explore import shrink as shrinking
from harness.explore.explorer import MANY, strikes_at
from harness.explore.points import DiskStep, Message, Point, disk_steps
from harness.explore.schedule import DESTRUCTIVE, REPLICAS
from harness.failures import LabFailure

POINTS: list[Point] = [
    Message("request", "append", "c1", "primary", 1),
    Message("request", "append", "c1", "primary", 2),
    Message("request", "apply", "primary", "secondary1"),
    Message("reply", "apply", "secondary2", "primary"),
    Message("request", "heartbeat", "primary", "master"),
    *disk_steps("primary", ["append", "sync"]),
    *disk_steps("master", ["append", "sync"]),
]


def explorer(seed: int = 1, points: Sequence[Point] = POINTS) -> Explorer:
    """One that has made its clean run."""

    def no_cluster(seed: int) -> Cluster:
        raise AssertionError("nothing is to be run")

    made = Explorer(no_cluster, Schedule(seed))
    cast(Any, made)._points = list(points)
    return made


def strikes() -> Iterator[Strike]:
    return (strike for point in POINTS for strike in strikes_at(point))


def test_a_schedule_is_read_as_it_was_written() -> None:
    whole = Schedule(7, tuple(strikes()), ("all or none",), "gfs+all-or-none")
    assert Schedule.from_json(whole.to_json()) == whole
    assert Schedule.from_json(whole.to_json().encode()) == whole
    assert {strike.deed for strike in whole.strikes} == set(Deed)


LOSS: dict[str, Any] = {"deed": "message loss", "point": asdict(POINTS[0])}
STEP: dict[str, Any] = {"deed": "crash and reboot", "point": asdict(POINTS[-1]), "victim": "master"}


WRONG: list[tuple[Any, str]] = [
    (3, "."),
    ([3], "."),
    ([{}], "a strike without 'point'"),
    ([{**LOSS, "point": {}}], "missing"),
    ([{**LOSS, "point": 1}], "."),
    ([{**LOSS, "deed": "flood"}], "'flood' is not a valid Deed"),
    ([{**LOSS, "seconds": "long"}], "seconds is 'long'"),
    ([{**LOSS, "when": "now"}], "when"),
    (
        [{**LOSS, "point": {**LOSS["point"], "sender": "cs1"}}],
        "nobody is 'cs1': there are master, pr",
    ),
    ([{**STEP, "victim": "cs1"}], "nobody is 'cs1'"),
    ([{**STEP, "point": {**STEP["point"], "count": None}}], "count is None"),
]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "Expecting value"),
        (b"\xff", "can't decode"),
        ("[" * 100_000, "too deep"),
        *((text, "it needs") for text in ("[]", "{}", "3", '{"format": 2, "seed": 1, "strikes": []}')),
        *((json.dumps({"format": 1, "seed": 1, "strikes": strikes}), says) for strikes, says in WRONG),
    ],
)
def test_what_is_no_schedule_is_said_to_be_none(text: str | bytes, says: str) -> None:
    with pytest.raises(ValueError, match=f"^this is no schedule: .*{says}") as said:
        Schedule.from_json(text)
    assert "\n" not in str(said.value)


def test_one_of_each_family_comes_first_and_none_is_left_out() -> None:
    drawn = [schedule.strikes for schedule in explorer().singles(*Deed)]
    assert sorted(map(str, drawn)) == sorted(str((strike,)) for strike in strikes())
    families = {strike.family for strike in strikes()}
    assert {strike.family for (strike,) in drawn[: len(families)]} == families
    only_first = explorer().singles(*Deed, each=1)
    assert [schedule.strikes for schedule in only_first] == drawn[: len(families)]


def test_only_the_deeds_asked_for_are_drawn() -> None:
    made = explorer()
    assert {strike.deed for one in made.singles(Deed.LOSS) for strike in one.strikes} == {Deed.LOSS}
    pairs = islice(made.pairs(Deed.LOSS, Deed.DELAY), 50)
    assert {strike.deed for one in pairs for strike in one.strikes} == {Deed.LOSS, Deed.DELAY}


def test_a_seed_draws_the_same_schedules_again() -> None:
    def drawn(seed: int) -> list[Schedule]:
        made = explorer(seed)
        return [*made.singles(*Deed), *islice(made.pairs(*Deed), 20), *islice(made.random(*Deed), 20)]

    assert drawn(3) == drawn(3)
    assert drawn(3) != drawn(4)


def test_what_chance_draws_gfs_promises_to_survive() -> None:
    made = explorer()
    pairs, random_ones = list(islice(made.pairs(*Deed), 500)), list(islice(made.random(*Deed), 500))
    assert {len(schedule.strikes) for schedule in pairs} == {2}
    assert {len(schedule.strikes) for schedule in random_ones} == {1, 2, 3, 4, 5}
    assert all(schedule.fair for schedule in pairs + random_ones)


def test_whoever_destroys_must_not_strike_as_often_as_there_are_replicas() -> None:
    destroys = next(strike for strike in strikes() if strike.deed in DESTRUCTIVE)
    harmless = [strike for strike in strikes() if strike.deed not in DESTRUCTIVE]
    assert Schedule(1, (destroys, *harmless[: REPLICAS - 2])).fair
    assert not Schedule(1, (destroys, *harmless[: REPLICAS - 1])).fair
    assert Schedule(1, tuple(harmless)).fair


def test_one_node_dies_at_one_step_of_its_disk() -> None:
    made = explorer()
    for schedule in [*islice(made.pairs(*Deed), 500), *islice(made.random(*Deed), 500)]:
        points = [strike.point for strike in schedule.strikes]
        disks = [point.node for point in points if isinstance(point, DiskStep)]
        assert len(set(disks)) == len(disks), schedule
        assert len(set(points)) == len(points), schedule


def test_a_schedule_that_failed_is_replayed_on_the_same_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "KEPT", tmp_path)
    trial = Trial(Schedule(5, (Strike(Deed.LOSS, POINTS[0]),)), LabFailure("it fails"))
    (kept,) = report.told(trial, ["--reference", "lab01"]).message.split("replay ")[1:]
    path, _, options = kept.partition(" ")
    assert Schedule.from_json(Path(path).read_text()) == trial.schedule
    assert options == "--reference lab01"


def test_what_fails_is_made_as_small_as_it_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes two of five strikes to fail, one of them many times, and only every other try does."""
    lost = Strike(Deed.LOSS, POINTS[0], times=MANY)
    cut = Strike(Deed.PARTITION, POINTS[2], "primary", seconds=40.0)
    small_cut = Strike(Deed.PARTITION, POINTS[2], "primary", seconds=1.0)
    others = random.Random(1).sample([one for one in strikes() if one not in (lost, cut, small_cut)], 3)
    tries = 0

    def attempt(schedule: Schedule, make_cluster: object) -> Trial:
        nonlocal tries
        tries += 1
        guilty = lost in schedule.strikes and (cut in schedule.strikes or small_cut in schedule.strikes)
        return Trial(schedule, LabFailure("it fails") if guilty and tries % 2 == 0 else None)

    monkeypatch.setattr(shrinking, "attempt", attempt)
    failed = Trial(Schedule(5, (others[0], lost, others[1], cut, others[2])), LabFailure("it fails"))
    smallest = shrinking.shrink(failed, cast(Any, None))
    assert smallest.schedule == Schedule(5, (lost, small_cut))
    assert smallest.failure is not None

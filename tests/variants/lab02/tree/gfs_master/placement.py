"""Where replicas go: by lot among those that are good enough."""

from __future__ import annotations

import random
from collections.abc import Collection
from typing import NamedTuple

MARGIN = 4


class Load(NamedTuple):
    name: str
    rack: str
    used: int
    recent: int


def choose(
    candidates: Collection[Load], count: int, rng: random.Random, racks: Collection[str] = ()
) -> list[str]:
    chosen: list[Load] = []
    taken = list(racks)
    while len(chosen) < count and (left := [one for one in candidates if one not in chosen]):
        rarest = min(taken.count(one.rack) for one in left)
        left = [one for one in left if taken.count(one.rack) == rarest]
        # A server that was given much lately may rest, unless all were.
        idlest = min(one.recent for one in left)
        left = [one for one in left if one.recent <= idlest + 3]
        emptiest = min(one.used for one in left)
        left = [one for one in left if one.used <= 2 * emptiest + (64 << 20)]
        one = rng.choice(left)
        chosen.append(one)
        taken.append(one.rack)
    return [one.name for one in chosen]


def least_needed(holders: Collection[Load]) -> str:
    racks = [one.rack for one in holders]
    return sorted(holders, key=lambda one: (-racks.count(one.rack), -one.used, one.name))[0].name

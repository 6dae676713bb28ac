"""Lab 4 part C, systematically: one fault of each kind at every kind of protocol point, then pairs, then chance.

The scenario is always the same: two clients append side by side until the file needs a second chunk. A clean run lists its
protocol points, that is every message and every change of a disk. Of strikes that differ in numbers only (which of the
two secondaries, which of four pushes) the seed draws one; `python3 grader.py hunt lab04` tries the others.
"""

from __future__ import annotations

from itertools import islice

import pytest

from harness.explore import Deed, survives
from harness.fixtures import MakeExplorer
from harness.grading import claim

SLOW_MACHINE = 600  # real seconds; a minute is plenty on two free cores


@pytest.mark.timeout(SLOW_MACHINE)
@claim(
    "Crash: whichever server dies for good, at whichever message or write, no acknowledged record is lost",
    hint="two replicas are left: the lease has to end, and a new primary to be one that has everything acknowledged",
    read="labs/04_consistency/README.md#part-c-the-append-guarantee",
)
def test_crash_at_every_point(make_explorer: MakeExplorer) -> None:
    explorer = make_explorer()
    survives(explorer, explorer.singles(Deed.CRASH, each=1))


@pytest.mark.timeout(SLOW_MACHINE)
@claim(
    "Crash and reboot: whichever server dies at whichever message or write, master included, it comes back with all it said",
    hint="nothing is answered before it is on the disk; half a write has to be recognised after the reboot",
    read="labs/04_consistency/README.md#part-c-the-append-guarantee",
)
def test_reboot_at_every_point(make_explorer: MakeExplorer) -> None:
    explorer = make_explorer()
    survives(explorer, explorer.singles(Deed.REBOOT, each=1))


@pytest.mark.timeout(SLOW_MACHINE)
@claim(
    "Crash and replacement: whichever server comes back empty, at whichever point it died, nobody takes it for what it was",
    hint="what a server stores is what it reports; a lease or a version it had before says nothing about its disk",
    read="labs/04_consistency/README.md#part-c-the-append-guarantee",
)
def test_replacement_at_every_point(make_explorer: MakeExplorer) -> None:
    explorer = make_explorer()
    survives(explorer, explorer.singles(Deed.REPLACEMENT, each=1))


@pytest.mark.timeout(SLOW_MACHINE)
@claim(
    "Message loss: whichever message is lost, eight times in a row, no acknowledged record is",
    hint="whoever hears nothing knows nothing: ask again, under the same identity",
    read="labs/04_consistency/README.md#part-c-the-append-guarantee",
)
def test_loss_at_every_point(make_explorer: MakeExplorer) -> None:
    explorer = make_explorer()
    rows = [one for one in explorer.singles(Deed.LOSS) if one.strikes[0].times > 1]
    families = {one.strikes[0].family: one for one in rows}
    survives(explorer, families.values())


@pytest.mark.timeout(SLOW_MACHINE)
@claim(
    "Partition: whoever is cut off, from everybody or from the servers alone, at whichever message, nobody acknowledges what others do not have",
    hint="a primary on its own may go on for as long as its lease lasts, but it has to hear from every secondary",
    read="labs/04_consistency/README.md#part-c-the-append-guarantee",
)
def test_partition_at_every_point(make_explorer: MakeExplorer) -> None:
    explorer = make_explorer()
    survives(explorer, explorer.singles(Deed.PARTITION, Deed.SPLIT, each=1))


@pytest.mark.timeout(SLOW_MACHINE)
@claim(
    "Two faults: three replicas survive the loss of two, whatever it is that happens twice",
    hint="the second fault often hits the repair of the first: a crash while a lease is granted, a loss while one is awaited",
    read="labs/04_consistency/README.md#part-c-the-append-guarantee",
)
def test_pairs_of_faults(make_explorer: MakeExplorer) -> None:
    explorer = make_explorer()
    kinds = (Deed.CRASH, Deed.REBOOT, Deed.REPLACEMENT, Deed.LOSS, Deed.PARTITION, Deed.SPLIT)
    survives(explorer, islice(explorer.pairs(*kinds), 24))


@pytest.mark.timeout(SLOW_MACHINE)
@claim(
    "Chance: up to five faults drawn from a seed, late and repeated messages among them",
    hint="replay the schedule that is named; then leave out one strike after the other: `grader.py hunt` does that for you",
    read="labs/04_consistency/README.md#part-c-the-append-guarantee",
)
def test_random_schedules(make_explorer: MakeExplorer) -> None:
    explorer = make_explorer()
    survives(explorer, islice(explorer.random(*Deed), 20))

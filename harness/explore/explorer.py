"""Which schedules to try, and trying them side by side.

All single strikes that make sense at the points of a clean run are listed, in families: strikes that differ in nothing but
numbers. Within a budget one of every family comes first, then more of them, drawn by the seed; so a small budget sees every
kind of place, and a large one every place. Pairs and random schedules draw from the same list.
"""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from harness.cluster import Cluster
from harness.explore.points import MASTER, DiskStep, Message, Point
from harness.explore.schedule import DESTRUCTIVE, REPLICAS, Deed, Schedule, Strike
from harness.explore.trial import Trial, attempt
from harness.processes.crash_disk import BEFORE

SIDE_BY_SIDE = 4  # trials at once: their nodes mostly wait for each other
SHORT, LONG = 1.0, 40.0  # seconds of absence: unnoticed by the master, and dead to it
MANY = 8  # messages in a row


@dataclass
class Coverage:
    """What was tried: trials, strikes that met their point, and the different points at which one struck."""

    trials: int = 0
    strikes: int = 0
    points: set[Point] = field(default_factory=set[Point])

    def count(self, trial: Trial) -> None:
        self.trials += 1
        self.strikes += len(trial.struck)
        self.points.update(strike.point for strike in trial.struck)


class Explorer:
    """Explores one implementation. `base` says the seed, the measures and the model of all its schedules; `options`, which
    implementation, on the grader's command line."""

    def __init__(
        self, make_cluster: Callable[[int], Cluster], base: Schedule, options: Sequence[str] = ()
    ) -> None:
        self.base = base
        self.options = options
        self.coverage = Coverage()
        self.rng = random.Random(base.seed)
        self._make_cluster = make_cluster
        self._points: list[Point] = []

    # ---- what there is

    def points(self) -> list[Point]:
        """The points of a clean run, which has to pass; LabFailure if it does not."""
        if not self._points:
            trial = attempt(self.base, self._make_cluster, survey=True)
            if trial.failure is not None:
                raise trial.failure
            self._points = trial.points
        return self._points

    def singles(self, *deeds: Deed, each: int | None = None) -> list[Schedule]:
        """The single strikes of these kinds, in an order drawn by the seed, one of each family first.

        `each`: at most so many of a family; None: all.
        """
        families: dict[tuple[str, ...], list[Strike]] = {}
        for point in self.points():
            for strike in strikes_at(point):
                if strike.deed in deeds:
                    families.setdefault(strike.family, []).append(strike)
        for members in families.values():
            self.rng.shuffle(members)
        rounds = itertools.islice(itertools.zip_longest(*self._shuffled(families.values())), each)
        return [self._schedule(strike) for one_each in rounds for strike in one_each if strike is not None]

    def pairs(self, *deeds: Deed) -> Iterator[Schedule]:
        """Two strikes at different points, drawn by the seed, without an end."""
        strikes = self._all_strikes(deeds)
        while True:
            schedule = self._schedule(*self.rng.sample(strikes, 2))
            if schedule.possible:
                yield schedule

    def random(self, *deeds: Deed, most: int = 5) -> Iterator[Schedule]:
        """Up to `most` strikes at a seed of their own, as many as GFS promises to survive, without an end."""
        strikes = self._all_strikes(deeds)
        harmless = [strike for strike in strikes if strike.deed not in DESTRUCTIVE]
        while True:
            count = self.rng.randint(1, most)
            drawn = self.rng.sample(strikes if count < REPLICAS else harmless, count)
            schedule = replace(self._schedule(*drawn), seed=self.rng.getrandbits(32))
            if schedule.possible:
                yield schedule

    # ---- trying it

    def run(self, schedules: Iterable[Schedule], go_on: Callable[[], bool] = lambda: True) -> list[Trial]:
        """Try schedules side by side, as long as `go_on()` and nothing has failed; the trials that were done."""
        return _Crew(iter(schedules), self._make_cluster, self.coverage, go_on).work()

    def _all_strikes(self, deeds: Sequence[Deed]) -> list[Strike]:
        return [strike for point in self.points() for strike in strikes_at(point) if strike.deed in deeds]

    def _schedule(self, *strikes: Strike) -> Schedule:
        return replace(self.base, strikes=strikes)

    def _shuffled(self, families: Iterable[list[Strike]]) -> list[list[Strike]]:
        listed = list(families)
        self.rng.shuffle(listed)
        return listed


def strikes_at(point: Point) -> Iterator[Strike]:
    """All strikes that make sense at a point, each with every number worth trying."""
    if isinstance(point, DiskStep):
        for strike in _deaths(point, point.node, (False,)):
            # How far a write came matters to nobody but the one who comes back to it.
            if strike.deed is Deed.REBOOT or point.when == BEFORE:
                yield strike
        return
    for times in (1, MANY):
        yield Strike(Deed.LOSS, point, times=times)
    yield Strike(Deed.DELAY, point, seconds=LONG)
    yield Strike(Deed.DUPLICATE, point, seconds=LONG)
    for victim in (point.sender, point.receiver):
        if not _is_client(victim):
            yield Strike(Deed.PARTITION, point, victim)
            yield Strike(Deed.SPLIT, point, victim)
        # A message to somebody who dies of it is lost anyhow; one from him may have been the last he sent.
        yield from _deaths(point, victim, (False, True) if victim == point.sender else (False,))


def _deaths(point: Message | DiskStep, victim: str, delivered: Sequence[bool]) -> Iterator[Strike]:
    if _is_client(victim):
        return  # a client that dies takes nobody's promise with it
    for arrives in delivered:
        for seconds in (SHORT, LONG):
            yield Strike(Deed.REBOOT, point, victim, seconds, delivered=arrives)
        if victim != MASTER:  # there is one master, whose disk is all that is known of files
            yield Strike(Deed.CRASH, point, victim, delivered=arrives)
            for seconds in (SHORT, LONG):
                yield Strike(Deed.REPLACEMENT, point, victim, seconds, delivered=arrives)


def _is_client(role: str) -> bool:
    return role.startswith("c")


class _Crew:
    """Threads that take schedules from one list, until it ends, one fails, or the caller is interrupted."""

    def __init__(
        self,
        schedules: Iterator[Schedule],
        make_cluster: Callable[[int], Cluster],
        coverage: Coverage,
        go_on: Callable[[], bool],
    ) -> None:
        self._schedules = schedules
        self._make_cluster = make_cluster
        self._coverage = coverage
        self._go_on = go_on
        self._lock = threading.Lock()
        self._clusters: set[Cluster] = set()
        self._trials: list[Trial] = []
        self._fault: BaseException | None = None
        self._stopped = False

    def work(self) -> list[Trial]:
        threads = [threading.Thread(target=self._work, daemon=True) for _ in range(SIDE_BY_SIDE)]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                while thread.is_alive():
                    thread.join(0.2)
        except BaseException:
            # A deadline or Ctrl-C: nothing of ours may run on.
            with self._lock:
                self._stopped = True
                left = list(self._clusters)
            for cluster in left:
                cluster.close()
            raise
        if self._fault is not None:
            raise self._fault
        return self._trials

    def _work(self) -> None:
        try:
            while (schedule := self._next()) is not None:
                trial = attempt(schedule, self._open)
                with self._lock:
                    if not self._stopped:
                        self._trials.append(trial)
                        self._coverage.count(trial)
        except BaseException as fault:  # told by the thread that waits for us, unless it is the reason for it
            with self._lock:
                if not self._stopped:
                    self._fault = fault
                    self._stopped = True

    def _next(self) -> Schedule | None:
        with self._lock:
            failed = any(trial.failure is not None for trial in self._trials)
            if self._stopped or failed or not self._go_on():
                return None
            return next(self._schedules, None)

    def _open(self, seed: int) -> Cluster:
        cluster = self._make_cluster(seed)
        with self._lock:
            self._clusters = {one for one in self._clusters if not one.closed} | {cluster}
            if self._stopped:
                cluster.close()
        return cluster

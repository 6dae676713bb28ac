"""One trial: a few concurrent appends under one schedule, healed in the end, and judged by the checker.

The scenario is the same in every trial. Two clients append side by side, twice, and read with cached places in
between; the records are so large that the file needs a second chunk. Time runs as fast as real time and jumps whenever
everybody waits, so that nothing times out because a machine is busy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from harness.cluster import Cluster
from harness.explore.nemesis import Nemesis
from harness.explore.points import MASTER, Point, disk_steps, messages
from harness.explore.schedule import Schedule, Strike
from harness.failures import LabFailure
from harness.gfs import Gfs
from harness.troubles import blame
from harness.workload import Operation

LOG = "/log"
LIMITS = {"chunk_size": 2048, "block_size": 512}
BODY = 470  # of a record that just fits into a quarter of such a chunk: four of them and the first fill it
ROUNDS = 2
FAULTY = (
    100.0  # virtual seconds for which a fault may last: longer than a lease, shorter than a client's patience
)


@dataclass
class Trial:
    """What became of a schedule. `points` are those that the scenario passed, as they were named at its beginning."""

    schedule: Schedule
    failure: LabFailure | None = None
    struck: list[Strike] = field(default_factory=list[Strike])
    points: list[Point] = field(default_factory=list[Point])


def attempt(schedule: Schedule, make_cluster: Callable[[int], Cluster], *, survey: bool = False) -> Trial:
    """Run a schedule on `make_cluster(seed)`, which is closed at the end. `survey`: note the points passed."""
    trial = Trial(schedule)
    with make_cluster(schedule.seed) as cluster:
        try:
            _run(trial, cluster, survey)
        except LabFailure as failure:
            blame(cluster, failure)
            trial.failure = failure
    return trial


def _run(trial: Trial, cluster: Cluster, survey: bool) -> None:
    cluster.limits.update(LIMITS)
    gfs = Gfs(cluster, strict=trial.schedule.strict)
    gfs.begin(LOG)
    roles = {name: name for name in (MASTER, *gfs.clients)} | gfs.roles()
    passed = len(cluster.network.proxy.journal)
    written = {role: len(cluster.operations(name)) for role, name in roles.items()} if survey else {}
    nemesis = Nemesis(gfs, roles, trial.schedule.strikes)
    nemesis.arm()
    try:
        _appends(gfs, nemesis)
        if survey:
            names = {name: role for role, name in roles.items()}
            trial.points += messages(cluster.network.journal[passed:], names)
            for role, before in written.items():
                changes = [str(one["what"]) for one in cluster.operations(roles[role])[before:]]
                trial.points += disk_steps(role, changes)
        gfs.recover()
        _judge(gfs, trial.schedule.model)
    finally:
        trial.struck = nemesis.struck


def _appends(gfs: Gfs, nemesis: Nemesis) -> None:
    """The scenario. Faults last for FAULTY seconds at most; what is under way then has to end after that."""
    healing = gfs.cluster.now() + FAULTY
    under_way: list[Operation] = []
    for round_number in range(ROUNDS):
        under_way = [gfs.workload.append(client, LOG, BODY) for client in gfs.clients]
        while not gfs.step(*under_way) and gfs.cluster.now() < healing:
            nemesis.tick()
        if gfs.cluster.now() >= healing:
            break
        if round_number == 0:
            # A cached place, and a heartbeat, before the second round.
            under_way = [gfs.workload.scan(client, LOG, fresh=False) for client in gfs.clients]
            while not gfs.step(*under_way) and gfs.cluster.now() < healing:
                nemesis.tick()
            gfs.pass_time(gfs.limits.heartbeat)
            nemesis.tick()
    nemesis.heal()
    gfs.note("all faults healed")
    gfs.finish(*under_way)


def _judge(gfs: Gfs, model: str) -> None:
    verdict = gfs.judge(LOG)
    if model and model not in verdict.standing.satisfied:
        raise LabFailure(
            f"the run does not satisfy the model {model}",
            seen="; ".join(
                [
                    *verdict.standing.reasons,
                    *(f"{demand} is not judged: {why}" for demand, why in verdict.standing.unjudged),
                ]
            ),
        )

"""Lab 2 part F: a shadow that is sent a checkpoint in several answers."""

from __future__ import annotations

from collections.abc import Callable

from harness.failures import LabFailure, expect
from harness.fixtures import MakeCluster
from harness.grading import claim
from harness.network.faults import Aim, Hold
from harness.stubs.cell import Call
from harness.stubs.chunkserver import MASTER
from harness.stubs.master_cell import LONGEST, MasterCell
from labkit.errors import RemoteError

SHADOW = "shadow"
SMALL = {"log_limit": 400_000}
# Together more than what a header takes, and what one reads of a file at once; a list of one directory fits in a header.
DIRECTORIES, FILES = 8, 50
ANSWERS = 100  # more than a shadow needs to catch up


@claim(
    "A shadow never shows half a checkpoint: until all of it has come, it shows what it knew before",
    hint="load a checkpoint aside, and show it when all of it is there",
    read="labs/02_gfs_master/README.md#part-f-copies-of-the-namespace-and-of-the-master",
)
def test_a_checkpoint_in_parts(make_cluster: MakeCluster) -> None:
    follower = Follower(make_cluster)
    cell, cluster = follower.cell, follower.cluster
    follower.wait(follower.shows_all, f"that the shadow shows the first {DIRECTORIES * FILES} files")
    away = cluster.network.partition([SHADOW], [MASTER])
    before = len(cluster.operations(MASTER))
    names = [follower.long_name("/moved"), follower.moved]
    for _ in range(2 * SMALL["log_limit"] // len(names[0])):
        cell.ask("rename", source=names[1], target=names[0])
        names.reverse()
    cell.ask("rename", source=names[1], target="/moved/last")
    follower.wait(
        lambda: any(one["what"] in ("replace", "remove") for one in cluster.operations(MASTER)[before:]),
        "a checkpoint: a file of the disk that is renamed or removed,",
    )
    hold = follower.hold()
    cluster.network.remove(away)
    for _ in range(ANSWERS):
        follower.wait(hold.first.is_set, "that the shadow asks what is new in the log (follow)")
        _is_whole(follower)
        if follower.shown("/moved") == ["/moved/last"]:
            return
        following = follower.hold()
        cluster.network.release(hold)
        hold = following
    raise LabFailure(f"the shadow has not caught up after {ANSWERS} answers to follow")


class Follower:
    """A master with many files, and a shadow. One file, below /moved, is to be renamed. Time passes by jumps only, so no
    answer comes too late."""

    def __init__(self, make_cluster: MakeCluster) -> None:
        self.cluster = make_cluster(limits=SMALL)
        self.cluster.set_rate(0.0)
        self.cell = MasterCell(self.cluster, servers=0)
        self.cluster.add(SHADOW, "shadow", {"master": MASTER})
        self.cluster.start(SHADOW)
        self.cell.ask("mkdir", path="/moved")
        self.moved = self.long_name("/moved")
        self.cell.ask("create", path=self.moved)
        self.kept: dict[str, list[str]] = {}
        for number in range(DIRECTORIES):
            directory = f"/{number}"
            self.cell.ask("mkdir", path=directory)
            self.kept[directory] = sorted(self.long_name(directory) for _ in range(FILES))
            for path in self.kept[directory]:
                self.cell.ask("create", path=path)

    def long_name(self, directory: str) -> str:
        """So that nobody makes it short."""
        return f"{directory}/{self.cluster.rng.randbytes(1900).hex()}"

    def shown(self, directory: str) -> list[str]:
        """What the shadow lists there; nothing when it does not know the directory."""
        call = Call(
            lambda: self.cell.client.ask(SHADOW, "list", {"path": directory}),
            f"list of {directory} at the shadow",
            self.cluster,
            actor=True,
        )
        self.wait(lambda: call.done, f"that the shadow answers a list of {directory}")
        try:
            return list(call.result()["paths"])
        except RemoteError as error:
            expect(error.code == "no_such_file", "a shadow refused a list", seen=str(error))
            return []

    def shows_all(self) -> bool:
        return all(self.shown(directory) == paths for directory, paths in self.kept.items())

    def hold(self) -> Hold:
        """From now on, answers to the shadow are held."""
        return self.cluster.network.hold(Aim("follow", "reply", receiver=SHADOW, times=None))

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        """Time passes, when nothing happens any more, until `condition()`."""
        end = self.cluster.now() + LONGEST
        self.cluster.await_quiet()
        while not condition():
            if self.cluster.now() > end:
                raise LabFailure(f"{what} did not happen, however much time passed")
            self.cluster.advance(1.0)
            self.cluster.await_quiet()


def _is_whole(follower: Follower) -> None:
    for directory, paths in follower.kept.items():
        shown = follower.shown(directory)
        expect(
            shown == paths,
            "a shadow shows a checkpoint of which only a part has come",
            expected=f"all {FILES} files of {directory}: they were there before, and nobody has changed them since",
            seen=f"{len(shown)} of them while an answer to follow is on its way",
            why="no master ever was in such a state: programs that read from the shadow would take files for lost",
        )
    moved = follower.shown("/moved")
    expect(
        len(moved) == 1,
        "a shadow shows a mixture of what it knew before and of what it is sent",
        expected="one file in /moved: its name has changed again and again, and it was never there twice",
        seen=f"{len(moved)} files",
    )

"""Lab 2 part A: names, directories, locks on them."""

from __future__ import annotations

import contextlib
import itertools

from harness.cluster import Cluster
from harness.failures import expect
from harness.grading import claim
from harness.network.faults import Aim
from harness.outside import processor_time
from harness.stubs.master_cell import MasterCell
from labkit import Limits
from labkit.errors import RemoteError

LIMITS = Limits()
PAIRS = 5  # of names that are renamed to each other


@claim(
    "Every file has one name, and every wrong name is refused for its own reason",
    hint="check the path first, then whether it is taken, then its parent",
    read="labs/02_gfs_master/README.md#part-a-namespace",
)
def test_names(cluster: Cluster) -> None:
    cell = MasterCell(cluster, servers=0)
    for path in ("/b", "/a", "/ä ö", "/a.b"):
        cell.ask("create", path=path)
    for path in ("", "a", "/", "//a", "/a/", "/.", "/..", "/a\0b", "/" + "x" * 5000):
        cell.refused("create", "file_exists" if path == "/" else "invalid_path", path=path)
    cell.refused("create", "file_exists", path="/a")
    cell.refused("create", "no_such_file", path="/nowhere/a")
    cell.refused("stat", "no_such_file", path="/c")
    for method in ("stat", "list"):
        cell.refused(method, "invalid_path", path="/a/")
    cell.refused("rename", "invalid_path", source="/a/", target="/c")
    listed = cell.ask("list", path="/").get("paths")
    wanted = sorted(["/a", "/b", "/a.b", "/ä ö"])
    expect(listed == wanted, "list does not show all full path names, sorted", expected=wanted, seen=listed)
    expect(cell.ask("stat", path="/a") == {"chunks": 0}, "a new file has no chunks")


@claim(
    "Directories are made, renamed and listed with all that lies below them",
    hint="a rename takes along every path that begins with the old name and a slash, and no other",
    read="labs/02_gfs_master/README.md#part-a-namespace",
)
def test_directories(cluster: Cluster) -> None:
    cell = MasterCell(cluster, servers=0)
    for path in ("/a", "/a/b", "/ab", "/a b"):
        cell.ask("mkdir", path=path)
    for path in ("/a/b/f", "/a/b/g", "/ab/f"):
        cell.ask("create", path=path)
    for method in ("mkdir", "create"):
        cell.refused(method, "file_exists", path="/a/b")
        cell.refused(method, "file_exists", path="/a/b/f")
        cell.refused(method, "no_such_file", path="/a/b/f/x")
    _shows(cell, "/a", ["/a/b", "/a/b/f", "/a/b/g"])
    for target, code in (
        ("/ab", "file_exists"),
        ("/a/x", "invalid_path"),
        ("/a/b/x", "invalid_path"),
        ("/no/x", "no_such_file"),
        ("/x/", "invalid_path"),
    ):
        cell.refused("rename", code, source="/a", target=target)
    cell.refused("rename", "no_such_file", source="/c", target="/d")
    cell.refused("rename", "invalid_path", source="/", target="/d")
    cell.ask("rename", source="/a", target="/ab/a")
    _shows(cell, "/ab", ["/ab/a", "/ab/a/b", "/ab/a/b/f", "/ab/a/b/g", "/ab/f"])
    cell.refused("list", "no_such_file", path="/a")
    cell.refused("stat", "no_such_file", path="/a/b/f")
    cell.ask("create", path="/a")
    _shows(cell, "/", ["/a", "/a b", "/ab", "/ab/a", "/ab/a/b", "/ab/a/b/f", "/ab/a/b/g", "/ab/f"])
    long, below = "/" + "x" * 3000, "/" + "y" * 1000
    cell.ask("mkdir", path=long)
    cell.ask("create", path=long + below)
    code = ""
    try:
        cell.ask("rename", source=long, target="/" + "x" * 4000)
    except RemoteError as error:
        code = error.code
    expect(
        code == "invalid_path",
        "a directory was renamed although a name below it becomes too long",
        expected="invalid_path: a name has at most 4096 bytes, and that of the file below would have 5002",
        seen=code or "no error",
    )
    expect(cell.ask("stat", path=long + below) == {"chunks": 0}, "a rename that was refused moved a file")


def _shows(cell: MasterCell, directory: str, wanted: list[str]) -> None:
    seen = cell.names(directory)
    expect(
        seen == wanted,
        f"list {directory} does not show what lies below, sorted",
        expected=str(wanted),
        seen=str(seen),
    )


@claim(
    "While a directory is being copied nobody changes what lies below it, and all others go on",
    hint="read locks on all directories above, a write lock on the name itself, held until the change is durable",
    read="labs/02_gfs_master/README.md#part-a-namespace",
)
def test_locks_on_names(cluster: Cluster) -> None:
    cell = MasterCell(cluster)
    for path in ("/d", "/dd", "/t"):
        cell.ask("mkdir", path=path)
    handle = cell.chunk("/d/f")
    other = int(cell.ask("allocate", path="/d/f", index=1)["handle"])
    for each in (handle, other):
        cell.ask("lease", handle=each)
    pairs = [(f"/d/{number}", f"/{number}") for number in range(PAIRS)]
    for path in ("/dd/x", *itertools.chain(*pairs)):
        cell.ask("create", path=path)
    before = ["/u/copy/" + name.removeprefix("/d/") for name in cell.names("/d")]
    cluster.set_rate(0.0)  # nobody's patience ends
    hold = cluster.network.hold(
        Aim("revoke_lease", times=None, only=lambda frame: frame.header["args"]["handle"] == other)
    )
    snapshot = cell.begin("snapshot", source="/d", target="/t/copy")
    cluster.until(
        lambda: hold.first.is_set() or snapshot.done, "that a snapshot revokes the lease of a chunk"
    )
    expect(hold.first.is_set(), "a snapshot was answered without revoking the lease of its chunk")
    expect(cell.ask("stat", path="/d/f") == {"chunks": 2}, "a question has to be answered meanwhile")
    cluster.await_quiet()
    wanted = cell.begin("lease", handle=handle)
    moved = cell.begin("rename", source="/t", target="/u")
    below = [
        moved,
        cell.begin("create", path="/d/g"),
        cell.begin("allocate", path="/d/f", index=2),
        cell.begin("rename", source="/d/f", target="/e"),
        cell.begin("rename", source="/dd/x", target="/d/x"),
        # To each other's names: whoever holds one of them and waits for the other one waits for ever.
        *(cell.begin("rename", source=one, target=two) for one, two in pairs),
        *(cell.begin("rename", source=two, target=one) for one, two in pairs),
        cell.begin("delete", path="/d"),
    ]
    # Two that do not touch each other, nor the snapshot: they have to be answered although time stands still.
    beside = [
        cell.begin("create", path="/dd/g"),
        cell.begin("create", path="/dd/h"),
        cell.begin("mkdir", path="/x"),
    ]
    for call in beside:
        call.result()
    cluster.await_quiet()
    early = [call.what for call in below if call.done]
    expect(
        not early,
        "a directory was changed while a snapshot of it, or into it, was being made",
        expected="no answer before the snapshot has taken back the lease",
        seen=", ".join(early),
    )
    cluster.network.release(hold)
    snapshot.result()
    cell.eventually(
        lambda: all(call.done for call in (*below, wanted)),
        "that all are answered who waited for a snapshot, those too who want each other's names,",
    )
    with contextlib.suppress(RemoteError):
        wanted.result()
    holders = [server.name for server in cell.servers if {handle, other} & server.leases.keys()]
    expect(
        not holders,
        "a snapshot was made while a primary could go on mutating one of its chunks",
        expected="no lease begins on any of its chunks, from the first that it takes back until it is made",
        seen=f"{', '.join(holders)} has one after the snapshot was answered; {wanted.what} was asked meanwhile",
    )
    moved.result()
    seen = cell.names("/u/copy")
    expect(
        seen == before,
        "the snapshot is not what there was when it was asked for",
        expected=str(before),
        seen=str(seen),
    )


@claim(
    "Two creations in one directory run side by side",
    hint="the directory is read by both: neither has to wait until the other is done",
    read="labs/02_gfs_master/README.md#part-a-namespace",
)
def test_creations_side_by_side(cluster: Cluster) -> None:
    cell = MasterCell(cluster)
    cell.ask("mkdir", path="/d")
    cell.ask("create", path="/d/f")
    cluster.set_rate(0.0)
    hold = cluster.network.hold(Aim("create_chunk", "reply", times=None))
    slow = cell.begin("allocate", path="/d/f", index=0)
    cluster.until(lambda: hold.first.is_set() or slow.done, "that chunkservers are told of a new chunk")
    for path in ("/d/g", "/d/h"):
        call = cell.begin("create", path=path)
        expect(
            cluster.comes(call.wait, 10.0),
            "a creation waits for another one in the same directory",
            expected=f"{path} made although the first chunk of /d/f still waits for a chunkserver",
            seen="no answer for 10 s",
        )
        call.result()
    cluster.network.release(hold)
    expect(slow.result()["handle"] > 0, "allocate has no handle")


@claim(
    "A hundred thousand files are no reason to be slow",
    hint="to list a directory or to find a file, do not look at all the others",
    read="labs/02_gfs_master/README.md#part-a-namespace",
)
def test_many_files(cluster: Cluster) -> None:
    cell = MasterCell(cluster, servers=0)
    # Doubled by snapshots: 100 files, then twice as many with every request.
    cell.ask("mkdir", path="/s0")
    for number in range(100):
        cell.ask("create", path=f"/s0/{number:02}")
    for step in range(10):
        cell.ask("mkdir", path=f"/s{step + 1}")
        for half in "ab":
            cell.ask("snapshot", source=f"/s{step}", target=f"/s{step + 1}/{half}")
    cell.ask("mkdir", path="/few")
    cell.ask("create", path="/few/one")

    def work(directory: str, names: int) -> float:
        """Seconds for which the master computed, and did not wait, to list a directory ten times."""
        before = processor_time(cluster, "master")
        for _ in range(10):
            seen = cell.names(directory)
            expect(len(seen) == names, f"list {directory} shows {len(seen)} names", expected=str(names))
        return processor_time(cluster, "master") - before

    # Below /s8 are 510 directories, and 100 files in each of the 256 lowest.
    one = min(work("/few", 1) for _ in range(3))
    many = min(work("/s8", 25_600 + 510) for _ in range(3))
    expect(
        one < many / 2,
        "listing one small directory takes longer the more files there are elsewhere",
        expected="one name is much less work than the 26,110 names of another directory, whatever else there is",
        seen=f"{one * 100:.1f} ms of computing for each listing of one name, {many * 100:.1f} ms for 26,110",
    )
    cell.refused("list", "too_large", path="/s10")  # 104,446 names, nearly three megabytes
    cell.ask("rename", source="/s10", target="/gone")
    expect(
        cell.ask("stat", path="/gone" + "/a" * 10 + "/00") == {"chunks": 0},
        "a file ten directories deep has not gone with them",
    )

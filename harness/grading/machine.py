"""What this machine lets us have. With too little of it tests fail whatever the code is, so it is said before they run."""

from __future__ import annotations

import contextlib
import math
import os
import resource
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

from harness.processes import linux

TOO_SMALL = "On this machine {}: tests that need it fail, whatever the code is."
FILES = 1024  # open in one process: the tests' own, when a cluster's nodes have a hundred threads
THREADS = 1200  # of all processes: a server may have one for each of a thousand connections; and other tests run beside it
MEMORY = 2000  # MB of one process, hardly any of it ever touched: a thousand threads have stacks
SPACE = 64  # MB for the disks of all nodes
_LONGEST = 10.0  # seconds in which this machine connects to itself
_CGROUPS = Path("/sys/fs/cgroup")


def shortages() -> tuple[str, ...]:
    """What is too little, a sentence each. What may be had for the asking is taken first."""
    found: list[str] = []
    files = linux.take_all(resource.RLIMIT_NOFILE)
    if files < FILES:
        found.append(f"one process may have {files:g} files open, and {FILES} are needed (ulimit -n)")
    for limit, option in ((resource.RLIMIT_AS, "-v"), (resource.RLIMIT_DATA, "-d")):
        memory = linux.take_all(limit) / 1e6
        if memory < MEMORY:
            found.append(
                f"one process may have {memory:.0f} MB of memory, and {MEMORY} are needed (ulimit {option})"
            )
    found += _little_space()
    threads = min(_room_of_user(), _room_of_container())
    if threads < THREADS:
        what = "ulimit -u, or the pids limit of the container"
        found.append(f"there is room for {max(0, threads):g} more threads, and {THREADS} are needed ({what})")
    if not _loopback():
        found.append("nobody can connect to 127.0.0.1, and every node does (ip link set lo up)")
    if not _pidfds():
        found.append("the kernel has no pidfd_open: it is older than Linux 5.3, or a sandbox forbids it")
    return tuple(found)


def _little_space() -> Iterator[str]:
    try:
        temporary = tempfile.gettempdir()
        disk = os.statvfs(temporary)
    except OSError:
        yield "there is no place for temporary files (make room, or set TMPDIR)"
        return
    space = disk.f_bavail * disk.f_frsize / 1e6
    if space < SPACE:
        yield f"{space:.0f} MB are left in {temporary}, and {SPACE} are needed (make room, or set TMPDIR)"


def _loopback() -> bool:
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(server.getsockname(), _LONGEST).close()
    except OSError:
        return False
    return True


def _pidfds() -> bool:
    try:
        os.close(linux.pidfd_open(os.getpid()))
    except OSError:
        return False
    return True


def _room_of_user() -> float:
    most = linux.take_all(resource.RLIMIT_NPROC)
    user = os.geteuid()
    if user == 0 or most == math.inf:
        return math.inf  # the kernel bounds nobody who may bound others
    return most - sum(_threads_of(user))


def _threads_of(user: int) -> Iterator[int]:
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if process.stat().st_uid == user:
                yield len(os.listdir(process / "task"))


def _room_of_container(groups: Path = _CGROUPS, mine: Path = Path("/proc/self/cgroup")) -> float:
    """The least there is in our control group and those above it; infinity where none is bounded, or none can be seen."""
    room = math.inf
    with contextlib.suppress(OSError):
        for line in mine.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            top = groups / controllers
            group = top / path.strip("/")
            for one in (group, *group.parents) if controllers in ("", "pids") else ():
                if one.is_relative_to(top):
                    room = min(room, _room_in(one))
    return room


def _room_in(group: Path) -> float:
    try:
        most, now = ((group / f"pids.{name}").read_text().strip() for name in ("max", "current"))
        return math.inf if most == "max" else int(most) - int(now)
    except (OSError, ValueError):
        return math.inf

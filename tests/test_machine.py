"""What a machine has too little of is said, and what may be had for the asking is taken."""

from __future__ import annotations

import math
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from harness.grading import machine
from harness.processes import linux
from harness.workspace import KIT

SAYS = """
import resource, sys
sys.path.insert(0, sys.argv[1])
limit = getattr(resource, sys.argv[2])
resource.setrlimit(limit, (int(sys.argv[3]), int(sys.argv[4])))
from harness.grading.machine import shortages
print(*shortages(), sep="\\n")
print(resource.getrlimit(limit)[0])
"""


def limited(name: str, soft: int, hard: int) -> list[str]:
    """What is said where a resource has these bounds, and how much one may have of it afterwards."""
    command = [sys.executable, "-c", SAYS, str(KIT), name, str(soft), str(hard)]
    return subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout.split("\n")[:-1]


def test_too_few_files_are_said() -> None:
    *said, _ = limited("RLIMIT_NOFILE", 256, 256)
    assert "one process may have 256 files open, and 1024 are needed (ulimit -n)" in said


@pytest.mark.parametrize(("name", "option"), [("RLIMIT_AS", "-v"), ("RLIMIT_DATA", "-d")])
def test_too_little_memory_is_said(name: str, option: str) -> None:
    *said, _ = limited(name, 10**9, 10**9)
    assert f"one process may have 1000 MB of memory, and 2000 are needed (ulimit {option})" in said


def test_a_full_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert not any("are left in" in one for one in machine.shortages())
    monkeypatch.setattr(machine, "SPACE", 10**9)
    assert any(f"MB are left in {tmp_path}, and 1000000000 are needed" in one for one in machine.shortages())
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    assert "there is no place for temporary files" in " ".join(machine.shortages())


def test_what_may_be_had_is_taken() -> None:
    *said, soft = limited("RLIMIT_NOFILE", 256, 1024)
    assert soft == "1024"
    assert not any("files" in one for one in said)


def test_threads_are_counted_for_one_user(monkeypatch: pytest.MonkeyPatch) -> None:
    limits: dict[int, tuple[int, int]] = {}
    monkeypatch.setattr(resource, "setrlimit", limits.__setitem__)
    monkeypatch.setattr(
        resource, "getrlimit", lambda limit: (10, 5000 if limit == resource.RLIMIT_NPROC else 1 << 40)
    )
    monkeypatch.setattr(machine, "_threads_of", lambda user: [4000, user])
    monkeypatch.setattr(machine, "_room_of_container", lambda: math.inf)
    monkeypatch.setattr(os, "geteuid", lambda: 7)
    assert machine.shortages() == (
        "there is room for 993 more threads, and 1200 are needed (ulimit -u, or the pids limit of the container)",
    )
    assert limits[resource.RLIMIT_NPROC] == (5000, 5000)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert machine.shortages() == (), "root is bounded by nobody"


def test_our_own_threads_are_counted() -> None:
    assert sum(machine._threads_of(os.getuid())) >= len(os.listdir("/proc/self/task"))


@pytest.mark.parametrize(("controllers", "mine"), [("", "0::/a/b\n"), ("pids", "4:memory:/m\n3:pids:/a/b\n")])
def test_the_tightest_container_counts(tmp_path: Path, controllers: str, mine: str) -> None:
    group = tmp_path / controllers / "a" / "b"
    group.mkdir(parents=True)
    told = tmp_path / "cgroup"
    told.write_text(mine)
    assert machine._room_of_container(tmp_path, told) == math.inf
    for place, most, now in (
        (group, "max", "20"),
        (group.parent, "1000", "400"),
        (tmp_path.parent, "1", "1"),
    ):
        (place / "pids.max").write_text(most + "\n")
        (place / "pids.current").write_text(now + "\n")
    assert machine._room_of_container(tmp_path, told) == 600


def test_a_machine_that_does_not_reach_itself_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unheard:  # bound and never listening
        unheard.bind(("127.0.0.1", 0))
        assert machine._loopback()
        monkeypatch.setattr(socket, "create_server", lambda address: unheard)
        assert "nobody can connect to 127.0.0.1" in " ".join(machine.shortages())


def test_a_kernel_without_descriptors_of_processes_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linux, "_PIDFD_OPEN", 1 << 20)  # no such system call
    assert "no pidfd_open" in " ".join(machine.shortages())


def test_a_process_has_a_descriptor_whatever_python_was_built_with() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        pidfd = linux.pidfd_open(child.pid)
        try:
            linux.pidfd_send_signal(pidfd, signal.SIGKILL)
            poller = select.poll()  # not `select`: the kit's own tests may have a thousand files open
            poller.register(pidfd, select.POLLIN)
            assert poller.poll(30_000)
            assert child.wait() == -signal.SIGKILL
            with pytest.raises(ProcessLookupError):
                linux.pidfd_send_signal(pidfd, signal.SIGKILL)
            with pytest.raises(ProcessLookupError):
                linux.pidfd_open(child.pid)
        finally:
            child.kill()
            os.close(pidfd)


def test_no_container_is_no_bound(tmp_path: Path) -> None:
    assert machine._room_of_container(tmp_path, tmp_path / "nothing") == math.inf

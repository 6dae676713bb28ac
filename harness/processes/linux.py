"""The few Linux calls the standard library does not wrap."""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import resource
import signal

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
# Numbers of system calls, the same on every processor but MIPS and Alpha.
_PIDFD_SEND_SIGNAL = 424
_PIDFD_OPEN = 434

_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent(number: int = signal.SIGKILL) -> None:
    """Get a signal when the thread that forked this process ends."""
    _prctl(_PR_SET_PDEATHSIG, number)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent dies, daemons included."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def pidfd_open(pid: int) -> int:
    """A descriptor of a process: ready to be read once that is gone. ProcessLookupError if it is, and reaped, already.

    `os.pidfd_open` and `signal.pidfd_send_signal` are missing from a Python that was built with old headers of the kernel, as
    conda's is, whatever the kernel can do.
    """
    return _checked("pidfd_open", _libc.syscall(_PIDFD_OPEN, pid, 0))


def pidfd_send_signal(pidfd: int, number: int) -> None:
    """Never to another process that has got the number of this one. ProcessLookupError if it is gone."""
    _checked("pidfd_send_signal", _libc.syscall(_PIDFD_SEND_SIGNAL, pidfd, number, None, 0))


def bound(limit: int, most: int) -> None:
    """Allow this process and its children at most so much of a resource for ever; less, if they have no more to begin with."""
    hard = resource.getrlimit(limit)[1]
    most = most if hard == resource.RLIM_INFINITY else min(hard, most)
    resource.setrlimit(limit, (most, most))


def take_all(limit: int) -> float:
    """Allow this process and its children as much of a resource as they may have; how much that is."""
    hard = resource.getrlimit(limit)[1]
    resource.setrlimit(limit, (hard, hard))
    return math.inf if hard == resource.RLIM_INFINITY else hard


def children(pid: int | str = "self") -> list[int]:
    """Process ids of the direct children of a process, by default this one; dead but unreaped ones included."""
    return [child for task in _tasks(pid) for child in _children_of(task)]


def parent(pid: int) -> int | None:
    """Process id of a process's parent; None when it is gone."""
    try:
        return int(_behind_the_name(f"/proc/{pid}")[1])
    except (FileNotFoundError, ProcessLookupError):
        return None


def descendants(pid: int | str = "self") -> list[int]:
    """Children, their children, and so on; those that end meanwhile may be missing."""
    found: list[int] = []
    waiting: list[int | str] = [pid]
    while waiting:
        with contextlib.suppress(OSError):
            below = children(waiting.pop())
            found += below
            waiting += below
    return found


def running_below(pid: int) -> int:
    """How many threads of a process and of its descendants run or could run."""
    count = 0
    waiting = [pid]
    while waiting:
        with contextlib.suppress(OSError):
            for task in _tasks(waiting.pop()):
                waiting += _children_of(task)
                count += _behind_the_name(task)[0] == b"R"
    return count


def processor_seconds(pid: int | str) -> float:
    """How long a process has run so far, or a thread of this one, as "self/task/7"; 0 when it is gone."""
    try:
        of_user, of_kernel = _behind_the_name(f"/proc/{pid}")[11:13]
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return (int(of_user) + int(of_kernel)) / os.sysconf("SC_CLK_TCK")


def signal_name(number: int) -> str:
    """ "SIGKILL"; "signal 40" for one without a name of its own."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _tasks(pid: int | str) -> list[str]:
    return [f"/proc/{pid}/task/{task}" for task in os.listdir(f"/proc/{pid}/task")]


def _children_of(task: str) -> list[int]:
    return [int(child) for child in _read(f"{task}/children").split()]


def _behind_the_name(path: str) -> list[bytes]:
    """State, parent, and so on, of a process or thread; its name, in brackets before them, may hold anything."""
    return _read(f"{path}/stat").rpartition(b")")[2].split()


def _read(path: str) -> bytes:
    """All of a small file of the kernel's; hundreds are read at a time, so as cheaply as can be."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.read(descriptor, 1 << 16)
    finally:
        os.close(descriptor)


def _prctl(option: int, value: int) -> None:
    _checked(f"prctl({option})", _libc.prctl(option, value, 0, 0, 0))


def _checked(what: str, result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return result

"""The few Linux calls the standard library does not wrap."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36

_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent(number: int = signal.SIGKILL) -> None:
    """Get a signal when the thread that forked this process ends."""
    _prctl(_PR_SET_PDEATHSIG, number)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent dies, daemons included."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def children(pid: int | str = "self") -> list[int]:
    """Process ids of the direct children of a process, by default this one; dead but unreaped ones included."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += [int(child) for child in (task / "children").read_text().split()]
    return found


def parent(pid: int) -> int | None:
    """Process id of a process's parent; None when it is gone."""
    try:
        # The name, in brackets before the state, may hold anything.
        return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])
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
    for one in (pid, *descendants(pid)):
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{one}/task").iterdir():
                # The name, in brackets before the state, may hold anything.
                count += (task / "stat").read_text(errors="replace").rpartition(")")[2].split()[0] == "R"
    return count


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, value, 0, 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"prctl({option}): {os.strerror(code)}")

"""What a grader has left behind: processes, and files in the directory that it was given for temporary ones."""

from __future__ import annotations

import time
from pathlib import Path


def left(scratch: Path) -> str:
    """Processes and files that a grader has left behind, given a moment to go; '' when there are none."""
    deadline = time.monotonic() + 60  # it takes a moment only, but on a busy machine
    while (
        found := [*map(str, scratch.iterdir()), *processes_about(str(scratch))]
    ) and time.monotonic() < deadline:
        time.sleep(0.05)
    return ", ".join(found)


def processes_about(text: str) -> list[str]:
    found: list[str] = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            line = (path / "cmdline").read_bytes() + (path / "cwd").readlink().as_posix().encode()
        except OSError:
            continue
        if text.encode() in line:
            found.append(line.decode("utf-8", "replace"))
    return found

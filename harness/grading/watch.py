"""``--watch``: grade again whenever a file of the code under test, or of the graded tests, is saved."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path

LOOK_AGAIN = 0.3  # seconds

Files = dict[Path, tuple[int, int]]


def snapshot(directories: Iterable[Path]) -> Files:
    """Every Python file below these directories: when it was changed, and its size."""
    found: Files = {}
    for directory in directories:
        for path in directory.rglob("*.py"):
            try:
                state = path.stat()
            except OSError:
                continue  # an editor that replaces a file removes it for a moment
            found[path] = (state.st_mtime_ns, state.st_size)
    return found


def changed(before: Files, look: Callable[[], Files]) -> Files:
    """What there is when something is different from `before`, and has then been left alone for a moment."""
    while (now := look()) == before:
        time.sleep(LOOK_AGAIN)
    while True:
        time.sleep(LOOK_AGAIN)
        again = look()
        if again == now:
            return again
        now = again

"""``grader.py selftest``: the kit's own tests, with pytest's ordinary output."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType


def selftest(kit: Path, arguments: Sequence[str]) -> int:
    """0 when all passed, 1 when tests failed, 2 for everything else (nothing collected, interrupted)."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    command = [sys.executable, "-m", "pytest", *arguments]
    child: subprocess.Popen[bytes] | None = None

    # Ctrl-C reaches the child by itself, as it is in the same process group; SIGTERM does not.
    def pass_on(number: int, _frame: FrameType | None) -> None:
        if number != signal.SIGINT and child is not None:
            child.send_signal(signal.SIGINT)

    # Before the child begins: what is handled here is not ignored there, as SIGINT is in the background of a script.
    before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with subprocess.Popen(command, cwd=kit, env=environment) as child:
            code = child.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return code if code in (0, 1) else 2

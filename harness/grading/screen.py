"""The screen: a rich console that survives capture, odd terminals and closed pipes.

pytest captures file descriptor 1 while tests run, so the console writes to a copy of it. When the reader
has gone away (``| head``), the rest is dropped and grading goes on: the exports still matter.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.text import Text

from harness.grading.outcome import Status
from harness.grading.score import TestResult

_STYLES = {
    Status.PASSED: "green",
    Status.FAILED: "red",
    Status.ERROR: "bold magenta",
    Status.MISSING: "magenta",
    Status.TIMEOUT: "red",
}


class _Tolerant(io.TextIOWrapper):
    """A text file that stops writing, in silence, when nobody reads any more."""

    def write(self, text: str, /) -> int:
        with contextlib.suppress(OSError, ValueError):
            super().write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            super().flush()

    def close(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            super().close()


@contextmanager
def screen(stream: TextIO | None = None) -> Generator[Console, None, None]:
    """A console on a copy of ``stream``, standard output by default."""
    source = stream or sys.stdout
    source.flush()
    raw = open(os.dup(source.fileno()), "wb")  # noqa: PTH123, SIM115 - a descriptor, closed by its wrapper
    file = _Tolerant(raw, encoding=source.encoding or "utf-8", errors="replace", line_buffering=True)
    try:
        yield Console(file=file, highlight=False, markup=False, emoji=False, soft_wrap=not file.isatty())
    finally:
        file.close()


def status_word(result: TestResult) -> Text:
    """The status as one coloured word."""
    if result.outcome is not None and result.outcome.not_written:
        return Text("to do", "yellow")
    return Text(result.status.value, _STYLES[result.status])

"""What student code prints: kept up to a bound, then counted only.

A flood of prints must neither fill the disk nor fail the program that prints; it is simply not kept.
"""

from __future__ import annotations

import io
import os
import threading

KEPT = 256 * 1024


class BoundedOutput(io.TextIOBase):
    """A text stream over a file descriptor that stops writing after `KEPT` bytes, with a line that says so."""

    def __init__(self, fd: int) -> None:
        super().__init__()
        self._fd = fd
        self._left = KEPT
        self._lock = threading.Lock()

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._fd

    def write(self, text: str, /) -> int:
        data = text.encode("utf-8", "backslashreplace")
        with self._lock:
            if self._left > 0:
                os.write(self._fd, data[: self._left])
                self._left -= len(data)
                if self._left <= 0:
                    os.write(
                        self._fd, f"\n[more than {KEPT} bytes were printed; the rest is not kept]\n".encode()
                    )
        return len(text)

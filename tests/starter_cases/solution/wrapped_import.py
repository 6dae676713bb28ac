"""An import that was wrapped, and one that stood alone."""

import struct

from labkit.protocol import (
    FRAME,
    MAX_HEADER,
)


class Given:
    """Given."""

    size = FRAME.size


def ask() -> int:
    """Ask."""
    # lab 1 part B: pack
    return MAX_HEADER + struct.calcsize("I")

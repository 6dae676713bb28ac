"""An import that was wrapped, and one that stood alone."""

from labkit.protocol import FRAME


class Given:
    """Given."""

    size = FRAME.size


def ask() -> int:
    """Ask."""
    raise NotImplementedError("lab 1 part B: pack")

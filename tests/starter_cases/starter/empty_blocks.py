"""Helpers that are first, last or alone in a class, and last in the file."""


class First:
    def c(self) -> None:
        """Given."""


class Alone:
    pass


class Described:
    """Says what it is."""


class Sections:
    # ---- one

    def a(self) -> None:
        """Given."""

    # ---- three

    def c(self) -> None:
        """Given."""


def last() -> None:
    """Given."""

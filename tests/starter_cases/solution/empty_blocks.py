"""Helpers that are first, last or alone in a class, and last in the file."""


class First:
    def _a(self) -> None:
        # lab 1 part C
        return None

    def _b(self) -> None:
        # lab 1 part C
        return None

    def c(self) -> None:
        """Given."""


class Alone:
    def _a(self) -> None:
        # lab 1 part C
        return None


class Described:
    """Says what it is."""

    def _a(self) -> None:
        # lab 1 part C
        return None


class Sections:
    # ---- one

    def a(self) -> None:
        """Given."""

    # ---- two

    def _b(self) -> None:
        # lab 1 part C
        print("two")

    # ---- three

    def c(self) -> None:
        """Given."""

    # ---- four

    # About it.
    def _d(self) -> None:
        # lab 1 part C
        print("four")


def last() -> None:
    """Given."""


def _gone() -> None:
    # lab 1 part C
    return None

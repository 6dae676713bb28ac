"""A hint of several lines, hints with quotes, and a private function the student writes."""


def long() -> str:
    """Long."""
    # lab 1 part D: the first caller owns the "lock", the second one waits for it, and
    # whoever comes third has to look at what the first one has left behind, so that nobody
    # ever waits for something that has already happened
    return "done"


def _kept() -> None:
    """Private, and still the student's."""
    # lab 1 part D: say 'no' with a backslash \
    print("kept")

"""A marked function loses its body and keeps its docstring; all else is kept as it is."""

X = 1  # given,   with its comment


def double(n: int) -> int:
    """Twice `n`."""
    raise NotImplementedError("lab 1 part B: think of addition")


# given comment


def given(n: int) -> int:
    """Given."""
    return {"a": n}["a"]

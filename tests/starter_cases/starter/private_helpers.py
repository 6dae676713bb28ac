def ask() -> int:
    """Ask."""
    raise NotImplementedError("lab 1 part C: use what you have")


# ---- a section, which stays


LAST = 3

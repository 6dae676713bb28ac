class Box:
    """A box."""

    @property
    def size(self) -> int:
        """The size."""
        raise NotImplementedError("lab 1 part A: count")

    @staticmethod
    async def wait(
        seconds: float,  # lab 1 is about time
        default=lambda: 0,
    ) -> None:
        """Wait."""
        raise NotImplementedError("lab 1 part A: await it")

    def given(self):
        """Given, but for what is inside."""

        def inner() -> int:
            """Inner."""
            raise NotImplementedError("lab 1 part A: inner hint")

        return inner()

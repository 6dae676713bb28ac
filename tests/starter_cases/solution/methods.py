import asyncio


class Box:
    """A box."""

    @property
    def size(self) -> int:
        """The size."""
        # lab 1 part A: count

        # a helpful remark that is not the hint
        return 1

    @staticmethod
    async def wait(
        seconds: float,  # lab 1 is about time
        default=lambda: 0,
    ) -> None:
        """Wait."""

        # lab 1 part A: await it
        await asyncio.sleep(seconds)

    def given(self):
        """Given, but for what is inside."""

        def inner() -> int:
            """Inner."""
            # lab 1 part A: inner hint
            return 2

        return inner()

"""What a person sees while tests run.

On a terminal: one line that says which test has begun last, and with ``-v`` a line for each finished test
above it. Elsewhere: a plain line for each finished test.
"""

from __future__ import annotations

from rich.console import Console
from rich.live import Live
from rich.text import Text

from harness.grading.manifest import GradedTest
from harness.grading.score import TestResult
from harness.grading.screen import status_word


class Progress:
    """A ``Watcher``; use it as a context so that the live line goes away at the end."""

    def __init__(self, console: Console, total: int, *, verbose: bool) -> None:
        self._console = console
        self._total = total
        self._verbose = verbose
        self._begun: dict[str, GradedTest] = {}
        self._live: Live | None = None
        if console.is_terminal and not console.is_dumb_terminal:
            # No refreshing thread: a line changes only when a test begins.
            self._live = Live(
                Text(""),
                console=console,
                auto_refresh=False,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )

    def __enter__(self) -> Progress:
        """Show the live line, if there is one."""
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take it away."""
        if self._live is not None:
            self._live.stop()

    def started(self, test: GradedTest) -> None:
        """Show which test has begun last."""
        if self._live is not None and test.key not in self._begun:
            self._begun[test.key] = test
            line = Text(f"{test.lab} {len(self._begun)}/{self._total}  {test.claim.title}", "dim")
            line.truncate(self._console.width - 1, overflow="ellipsis")
            self._live.update(line, refresh=True)

    def finished(self, result: TestResult) -> None:
        """Show how a test ended, where there is no live line or more was asked for."""
        if self._live is not None and not self._verbose:
            return
        test = result.test
        line = Text(f"{test.lab} {test.part}  ").append(status_word(result))
        line.append(" " * max(1, 9 - len(status_word(result))) + test.name)
        if self._verbose:
            line.append(f"  {result.seconds:.2f} s  {test.claim.title}")
        self._console.print(line)
        for trace in result.traces if self._verbose else ():
            self._console.print(Text(f"         trace: {trace}", "dim"))

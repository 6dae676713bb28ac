"""What every benchmark shares: rounds that alternate, medians, a table, a JSON file, an exit code.

A ratio is only worth anything when both of its sides were measured in the same minute on the same core, because
such machines have slow phases of a factor of two. So each round measures every side once, and the ratio is the
median over rounds of the ratio within a round.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Ratio:
    """`at_most` or `at_least` says on which side of `target` the ratio has to be. `detail`: both sides, in words."""

    name: str
    ratio: float
    target: float
    detail: str
    at_most: bool = False

    @property
    def ok(self) -> bool:
        return self.ratio <= self.target if self.at_most else self.ratio >= self.target


def interleave(sides: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """`rounds` measurements of each side, taken in turn; the first round is thrown away."""
    measured: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name, measure in sides.items():
            value = measure()
            if number:
                measured[name].append(value)
    return measured


def median_ratio(upper: Sequence[float], lower: Sequence[float]) -> float:
    """Median over rounds of upper / lower."""
    return statistics.median(one / other for one, other in zip(upper, lower, strict=True))


def pin(*cores: int) -> None:
    """Run this process and what it starts from now on these cores, counted from the last one available."""
    available = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {available[core % len(available)] for core in cores})


def finish(title: str, ratios: Sequence[Ratio], notes: Sequence[str] = ()) -> None:
    """Print the table, write --json FILE, and exit: 0 when every target holds, else 1."""
    parser = argparse.ArgumentParser(description=title)
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    table = Table(title=title)
    for heading in ("what", "ratio", "target", "", "measured"):
        table.add_column(heading)
    for one in ratios:
        sign = "≤" if one.at_most else "≥"
        table.add_row(
            one.name, f"{one.ratio:.2f}", f"{sign} {one.target:.2f}", "ok" if one.ok else "MISSED", one.detail
        )
    console = Console()
    console.print(table)
    for note in notes:
        console.print(note)
    if arguments.json:
        rows = {one.name: {"ratio": one.ratio, "target": one.target, "ok": one.ok} for one in ratios}
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")
    sys.exit(0 if all(one.ok for one in ratios) else 1)

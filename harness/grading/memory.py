"""What the grader remembers from run to run: how each test ended last, and how long it took.

It lies in ``.labkit/`` beside the kit's code, serves convenience only (``--failed``, and starting with what takes
long), and is never believed further than that: a file that is missing, broken or written by somebody else costs nobody
a point.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from harness.grading import exports
from harness.grading.manifest import LabManifest
from harness.grading.outcome import Status
from harness.grading.score import Report

FILE = Path(".labkit", "last-runs.json")
_KEPT = 20  # implementations


@dataclass(frozen=True)
class LastRuns:
    """Implementation -> test key -> (status, seconds)."""

    runs: Mapping[str, Mapping[str, tuple[str, float]]]

    def failed(self, manifests: Sequence[LabManifest], implementation: str) -> frozenset[str]:
        """The keys of tests that did not pass the last time they ran."""
        known = self.runs.get(implementation, {})
        passed = Status.PASSED.value
        keys = {test.key for manifest in manifests for test in manifest.tests}
        return frozenset(key for key, (status, _) in known.items() if key in keys and status != passed)

    def seconds(self, implementation: str) -> dict[str, float]:
        """How long each test took, with this implementation if it is known or else with any."""
        found: dict[str, float] = {}
        for name in (*self.runs, implementation):
            found.update({key: seconds for key, (_, seconds) in self.runs.get(name, {}).items()})
        return found


def recall(kit: Path) -> LastRuns:
    """What is remembered; nothing when there is nothing to be read."""
    try:
        data: Any = json.loads((kit / FILE).read_text(encoding="utf-8"))
        runs = {
            str(name): {str(key): (str(one[0]), float(one[1])) for key, one in dict(tests).items()}
            for name, tests in cast("dict[Any, Any]", data).items()
        }
    except (OSError, ValueError, TypeError, KeyError, IndexError, AttributeError):
        runs = {}
    return LastRuns(runs)


def remember(kit: Path, report: Report) -> None:
    """Add a run; the newest stands last. A kit that cannot be written to just forgets."""
    runs = {name: dict(tests) for name, tests in recall(kit).runs.items()}
    tests = runs.pop(report.implementation, {})
    # What an interruption cut off has shown nothing.
    heard = [one for one in report.tests if not (report.interrupted and one.status is Status.MISSING)]
    tests.update(
        {one.test.key: (one.status.value, round(one.seconds / max(1, one.attempts), 2)) for one in heard}
    )
    runs[report.implementation] = tests
    kept = dict(list(runs.items())[-_KEPT:])
    with contextlib.suppress(OSError, exports.ExportError):
        (kit / FILE).parent.mkdir(exist_ok=True)
        exports.write(kit / FILE, json.dumps(kept, indent=1) + "\n")

"""Protocol points: where a fault can strike, named so that they mean the same in every run.

Servers go by the role they had when the scenario began ("primary", "secondary1"), because which of them is
primary is the master's choice, and counts begin there too. A message is the n-th of its method, direction and ends; a step
of a disk is the n-th change that a node makes to its disk.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from harness.network.frame import Frame
from harness.processes.crash_disk import WHEN


@dataclass(frozen=True, slots=True)
class Message:
    """The `count`-th message of a kind ("request" or "reply"), method, sender and receiver."""

    kind: str
    method: str
    sender: str
    receiver: str
    count: int = 1

    @property
    def family(self) -> tuple[str, ...]:
        """What it has in common with points that differ in numbers only."""
        return (self.kind, self.method, unnumbered(self.sender), unnumbered(self.receiver))

    def __str__(self) -> str:
        return f"{self.kind} {self.method} {self.sender} -> {self.receiver} (no. {self.count})"


@dataclass(frozen=True, slots=True)
class DiskStep:
    """The `count`-th change of a node's disk: the node dies "before" it, "half"-way through, or "after" it."""

    node: str
    what: str
    count: int
    when: str

    @property
    def family(self) -> tuple[str, ...]:
        """As of Message."""
        return (self.node if self.node == MASTER else "chunkserver", self.what, self.when)

    def __str__(self) -> str:
        return f"{self.when} disk change no. {self.count} of {self.node} ({self.what})"


MASTER = "master"
ROLES = (MASTER, "primary", "secondary1", "secondary2", "c1", "c2")
Point = Message | DiskStep


def messages(frames: Iterable[Frame], roles: Mapping[str, str]) -> Iterator[Message]:
    """The points of these frames. `roles`: name of a node -> its role; who has none is left out."""
    counts: Counter[tuple[str, str, str, str]] = Counter()
    for frame in frames:
        if frame.sender in roles and frame.receiver in roles:
            shape = (frame.kind, frame.method, roles[frame.sender], roles[frame.receiver])
            counts[shape] += 1
            yield Message(*shape, counts[shape])


def disk_steps(node: str, changes: Iterable[str]) -> Iterator[DiskStep]:
    """The points of a node's changes, in the order in which it made them."""
    for number, what in enumerate(changes, start=1):
        for when in WHEN:
            yield DiskStep(node, what, number, when)


def unnumbered(role: str) -> str:
    """A role without its number: "secondary" for either of them."""
    return re.sub(r"\d+$", "", role)

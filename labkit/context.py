"""What every node is handed, and all it may use of the world outside."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from labkit.clock import Clock
from labkit.disk import Disk
from labkit.limits import Limits
from labkit.network import Network


class Annotate(Protocol):
    def __call__(self, event: str, /, **facts: Any) -> None: ...


def _no_annotation(event: str, /, **facts: Any) -> None:
    """Outside the harness nobody listens."""


@dataclass(frozen=True)
class Context:
    """One node's world. `name` is how peers connect to it; `config` is plain data such as {"master": "master"}.

    `rng` is seeded by the harness, differently for every node and every start, so that choices can be
    replayed. `annotate("applied", handle=7)` leaves a note in the trace; it never changes behaviour.
    """

    name: str
    config: Mapping[str, Any]
    clock: Clock
    disk: Disk
    network: Network
    rng: random.Random
    limits: Limits = field(default_factory=Limits)
    annotate: Annotate = _no_annotation

"""The constants of the system, in one place.

GFS's own values are the defaults wherever the paper gives one (sections in the comments); the others are
ours. All durations are seconds of the node's clock, all sizes bytes. Tests shrink the sizes, never the
durations: virtual time makes waiting free.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class Limits:
    chunk_size: int = 64 * 1024 * 1024  # §2.5
    block_size: int = 64 * 1024  # §5.2: one checksum per block
    replicas: int = 3  # §2.1
    lease: float = 60.0  # §3.1: initial lease timeout
    garbage_delay: float = 3 * 24 * 3600.0  # §4.4.1
    heartbeat: float = 5.0  # chunkserver to master
    dead_after: float = 20.0  # silence after which the master gives a chunkserver up
    clones: int = 2  # §4.3: how many replicas the master has cloned at once
    log_limit: int = (
        4 * 1024 * 1024
    )  # bytes of the operation log after which the master makes a checkpoint (§2.6.3)
    location_cache: float = 60.0  # how long a client may believe the master's answer (§2.7.1)
    buffer_bytes: int = 64 * 1024 * 1024  # pushed data a chunkserver keeps until it is used (§3.1)
    reorder_wait: float = 2.0  # how long a secondary waits for an earlier serial number

    @property
    def record_limit(self) -> int:
        """Largest record, its frame included: a quarter of a chunk bounds fragmentation (§3.3)."""
        return self.chunk_size // 4

    @classmethod
    def from_config(cls, values: Mapping[str, Any]) -> Limits:
        """Limits with some fields replaced; an unknown name is a TypeError that lists the known ones."""
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise TypeError(f"unknown limits {unknown}; known are {sorted(known)}")
        return cls(**values)

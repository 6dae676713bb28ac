"""What a test does to a node's disk: flip a bit, cut a file short, lose it, fill the disk.

The node may be running or not; what it has not synced is not on its disk yet, and cannot be spoilt.
"""

from __future__ import annotations

import os
from pathlib import Path

from harness.cluster import Cluster
from harness.failures import LabFailure


def files_with(cluster: Cluster, node: str, mark: bytes) -> list[Path]:
    """The files on the node's disk that hold `mark`. LabFailure when there is none."""
    found = [path for path in sorted(cluster.nodes[node].disk.iterdir()) if mark in path.read_bytes()]
    if not found:
        raise LabFailure(
            f"an acknowledged record is nowhere on the disk of {node}, or was not synced",
            expected="a file with its bytes: sync them before you answer, and write them as they are, checksums apart (GFS §5.2)",
        )
    return found


def flip_bit(path: Path, position: int, bit: int = 2) -> None:
    """Flip one bit of the byte at `position`."""
    with path.open("r+b") as file:
        file.seek(position)
        (byte,) = file.read(1)
        file.seek(position)
        file.write(bytes([byte ^ 1 << bit]))


def cut_short(path: Path, size: int) -> None:
    """Leave only the first `size` bytes."""
    os.truncate(path, size)


def moment(when: str, operation: int) -> str:
    """Where `crash_at` strikes, in words: `half-way through disk operation 3`."""
    return f"{'half-way through' if when == 'half' else when} disk operation {operation}"


def lose(cluster: Cluster, node: str, path: Path) -> None:
    """The file is gone."""
    if cluster.nodes[node].alive:
        cluster.call(node, "harness.lose", name=path.name)
    else:
        path.unlink()


def leave_room(cluster: Cluster, node: str, free: int) -> None:
    """The running node's disk takes `free` more bytes and then is full, until the node starts again."""
    cluster.call(node, "harness.leave_room", free=free)

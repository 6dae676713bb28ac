"""What the nodes of the last run of a graded test printed, kept below .labkit where a person can look at it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from harness.cluster import Cluster
from harness.workspace import KIT

OUTPUT = KIT / ".labkit" / "output"
LONGEST = 512 * 1024  # bytes of one node; what is printed by `print` is bounded anyhow


def keep_output(clusters: Sequence[Cluster], lab: str, test: str, root: Path = OUTPUT) -> str:
    """Where the files are, one of each node that printed something; empty if none did or nothing can be written."""
    directory = root / lab / "".join(letter if letter.isalnum() or letter in "_-" else "_" for letter in test)
    shutil.rmtree(directory, ignore_errors=True)
    for number, cluster in enumerate(clusters, start=1):
        for node in cluster.nodes.values():
            if printed := _printed(node.log):
                name = f"{node.name}.txt" if len(clusters) == 1 else f"{number}-{node.name}.txt"
                try:
                    directory.mkdir(parents=True, exist_ok=True)
                    (directory / name).write_bytes(printed)
                except OSError:
                    return ""
    if not directory.is_dir():
        return ""
    return str(directory.relative_to(KIT) if directory.is_relative_to(KIT) else directory)


def _printed(log: Path) -> bytes:
    """Not through a link: what a node has made of its log is not to lead anywhere else."""
    try:
        descriptor = os.open(log, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return b""
    try:
        return os.read(descriptor, LONGEST)
    except OSError:
        return b""
    finally:
        os.close(descriptor)

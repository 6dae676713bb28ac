"""What the system says of a node's process. Whoever runs in it has no say in this.

Numbers to compare with others of the same kind, taken before or from another node: a process has threads, sockets
and memory that are the harness's.
"""

from __future__ import annotations

import os
from pathlib import Path

from harness.cluster import Cluster
from harness.failures import HarnessFault


def reserved(cluster: Cluster, node: str) -> int:
    """Bytes the process has asked for, whether it has touched them or not: a buffer made on credit counts in full."""
    return _kilobytes(cluster, node, "VmData") * 1024


def resident(cluster: Cluster, node: str) -> int:
    """Bytes of memory the process really occupies."""
    return _kilobytes(cluster, node, "VmRSS") * 1024


def processor_time(cluster: Cluster, node: str) -> float:
    """Seconds for which the process has computed so far, in steps of about 10 ms. A busy machine hardly adds to them."""
    state = (_directory(cluster, node) / "stat").read_text()
    user, system = state.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def threads(cluster: Cluster, node: str) -> int:
    return len(os.listdir(_directory(cluster, node) / "task"))


def sockets(cluster: Cluster, node: str) -> int:
    """Open sockets of every kind, the harness's own included."""
    directory = _directory(cluster, node) / "fd"
    count = 0
    for name in os.listdir(directory):
        try:
            count += str((directory / name).readlink()).startswith("socket:")
        except FileNotFoundError:  # closed since it was listed
            continue
    return count


def _kilobytes(cluster: Cluster, node: str, field: str) -> int:
    for line in (_directory(cluster, node) / "status").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name == field:
            return int(rest.split()[0])
    raise HarnessFault(f"this system does not tell the {field} of a process")


def _directory(cluster: Cluster, node: str) -> Path:
    process = cluster.nodes[node].process
    if process is None:
        raise HarnessFault(f"{node} was never started")
    return Path("/proc", str(process.pid))

"""Many peers at once, straight to a node's port: the proxy would need two descriptors for each."""

from __future__ import annotations

import contextlib
import resource
import socket
from collections.abc import Generator

from harness.cluster import Cluster
from harness.failures import HarnessFault, LabFailure
from harness.network.raw import RawConnection

SPARE = 200  # descriptors that the harness needs for itself


def largest(wanted: int) -> int:
    """`wanted`, or as many connections as one process may have on this machine."""
    return min(wanted, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - SPARE)


@contextlib.contextmanager
def crowd(cluster: Cluster, node: str, size: int) -> Generator[list[RawConnection]]:
    """So many connections to `node`, all closed at the end."""
    port = cluster.port(node)
    if port is None:
        raise HarnessFault(f"{node} does not listen")
    peers: list[RawConnection] = []
    try:
        for number in range(1, size + 1):
            try:
                sock = socket.create_connection(("127.0.0.1", port), 10)
            except OSError as error:
                raise LabFailure(f"{node} did not take connection {number} of {size}: {error}") from error
            peers.append(RawConnection(sock, node, cluster.network))
        yield peers
    finally:
        for peer in peers:
            peer.close()

"""Programs a node can run. Each gives the student's packages something to do and the harness commands to give.

A program is named in a cluster's `add`; it says which packages it needs, and its `start` returns the commands it
answers over the control channel. A command takes and returns plain values (what labkit.codec packs).
"""

from __future__ import annotations

from collections.abc import Mapping

from harness.drivers import (
    bank,
    gfs_client,
    idle,
    rpc_frames,
    rpc_node,
    rpc_threads,
    rpc_work,
    scenarios,
    service,
)
from harness.drivers.program import Commands, Program

PROGRAMS: Mapping[str, Program] = {
    "idle": Program((), idle.start),
    "rpc": Program(("rpc",), rpc_node.start),
    "frames": Program(("rpc",), rpc_frames.start),
    "threads": Program(("rpc",), rpc_threads.start),
    "work": Program(("rpc",), rpc_work.start),
    "bank": Program(("rpc",), bank.start),
    "master": Program(("gfs_master",), service.start_only("gfs_master")),
    "shadow": Program(("gfs_master",), service.start_only("gfs_master", "start_shadow")),
    "chunkserver": Program(("chunkserver",), service.start_only("chunkserver")),
    "strict chunkserver": Program(
        # By itself: it stands on the classes of lab 3's starter, on which the client does not.
        ("consistency.strict",),
        service.start_only("consistency.strict", "start_strict_chunkserver"),
    ),
    "scenarios": Program(("consistency",), scenarios.start),
    "client": Program(("consistency",), gfs_client.start),
}

__all__ = ["PROGRAMS", "Commands", "Program"]

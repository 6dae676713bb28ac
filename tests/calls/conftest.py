"""Fixtures of the tests of lab 1's reference."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tests.calls.nodes import CLOCK, ROOT, Node, eventually, forget_rpc


@pytest.fixture(scope="module")
def lab() -> Iterator[SimpleNamespace]:
    """The modules of the reference, imported from its own root and from nowhere else."""
    forget_rpc()
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.syspath_prepend(str(ROOT))
        import rpc
        import rpc.duplicates
        import rpc.messages
        import rpc.retry
        import rpc.sessions
        import rpc.stream
        import rpc.wire

        assert Path(rpc.__file__).is_relative_to(ROOT)
        modules: dict[str, ModuleType] = {
            name: sys.modules[f"rpc.{name}"]
            for name in ("duplicates", "messages", "retry", "sessions", "stream", "wire")
        }
        yield SimpleNamespace(rpc=rpc, **modules)
    forget_rpc()


@pytest.fixture
def pair(lab: SimpleNamespace) -> Iterator[tuple[Any, socket.socket]]:
    ours, theirs = socket.socketpair()
    with theirs:
        stream = lab.stream.FrameStream(ours, CLOCK)
        yield stream, theirs
        stream.close()


@pytest.fixture
def nodes(lab: SimpleNamespace, tmp_path: Path) -> Iterator[Node]:
    before = set(threading.enumerate())
    nodes = Node(lab, tmp_path)
    yield nodes
    for close in reversed(nodes.made):
        close()
    nodes.pool.shutdown()
    eventually(lambda: set(threading.enumerate()) <= before, "every thread of the nodes has ended")

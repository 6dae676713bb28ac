"""What several of the kit's own tests begin with."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from harness.cluster import Cluster
from harness.workspace import Workspace


@pytest.fixture
def cluster() -> Generator[Cluster]:
    """With an idle node named node, and no lab. A file that needs another has a fixture of this name itself."""
    with Cluster(Workspace({}, "none"), 1) as made:
        made.add("node", "idle")
        made.start("node")
        yield made

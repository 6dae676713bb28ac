"""The proxy's thread, and those who ask it for something."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from harness.network.proxy import Proxy
from harness.processes.virtual_time import TimePage


def test_a_proxy_that_ends_while_nobody_looks_was_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    time = TimePage(tmp_path / "time", create=True)
    proxy = Proxy(time)

    class NeverInTime(threading.Event):
        """Whoever waits for it loses patience, and then it happens, and the proxy ends."""

        waited = False

        def wait(self, timeout: float | None = None) -> bool:
            proxy.thread.join(30)
            in_time, self.waited = self.waited, True
            return in_time and self.is_set()

    monkeypatch.setattr(threading, "Event", NeverInTime)
    proxy.close()
    assert not proxy.thread.is_alive()
    time.close()

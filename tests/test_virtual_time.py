"""The page of virtual time tells one moment, however slow its reader is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.processes.virtual_time import TimePage


@pytest.fixture
def page(tmp_path: Path) -> Iterator[TimePage]:
    made = TimePage(tmp_path / "time", create=True)
    yield made
    made.close()


def test_a_skew_is_as_large_as_it_was_meant_to_be_on_a_slow_machine(
    page: TimePage, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = time.monotonic()

    def slow() -> float:
        nonlocal real
        real += 1.0
        return real

    monkeypatch.setattr(time, "monotonic", slow)
    page.skew(3, 5000.0, 1.0)
    monkeypatch.setattr(time, "monotonic", lambda: real)
    assert page.now(3) - page.now() == pytest.approx(5000.0)
    page.skew(3, -1000.0, 2.0)
    assert page.now(3) - page.now() == pytest.approx(4000.0)
    assert page.pace(3) == 2.0
    real += 10.0
    assert page.now(3) - page.now() == pytest.approx(4010.0)


@pytest.mark.parametrize(("jump", "rate", "expected"), [(100.0, 1.0, 100.0), (0.0, 0.0, 0.0)])
def test_a_change_while_somebody_reads_is_seen_by_him(
    page: TimePage, monkeypatch: pytest.MonkeyPatch, jump: float, rate: float, expected: float
) -> None:
    """A process may be stopped anywhere between looking at the page and looking at the clock."""
    page.set_rate(0.0)
    page.advance(-page.now())
    page.set_rate(1.0)
    began = time.monotonic()
    stopped = False

    def halting() -> float:
        nonlocal stopped
        if not stopped:
            stopped = True
            page.advance(jump)
            page.set_rate(rate)
            return began + 50.0  # fifty seconds later
        return began

    monkeypatch.setattr(time, "monotonic", halting)
    assert page.now() == pytest.approx(expected, abs=0.5)


def test_who_asks_after_the_end_gets_an_answer(page: TimePage, tmp_path: Path) -> None:
    page.set_rate(0.0)
    page.advance(7.0)
    before = page.now()
    assert mapped(tmp_path)
    page.close()
    assert page.now() == before >= 7.0
    assert not mapped(tmp_path), "the page is still mapped"


def mapped(directory: Path) -> bool:
    return str(directory) in Path("/proc/self/maps").read_text()

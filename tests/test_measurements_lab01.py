"""Lab 1's measurements run, in small numbers, and their figures have the shape that their readings speak of."""

from __future__ import annotations

from harness.measurements import Run, Table, measurements_of
from harness.processes.session import Session
from harness.workspace import Workspace


def measured() -> list[Table]:
    session = Session()
    try:
        run = Run(Workspace.solution().for_lab("lab01"), 7, True, session)
        found = measurements_of("lab01")
        assert found is not None
        return list(found(run))
    finally:
        session.close()


def test_measurements_run_and_have_sane_figures() -> None:
    slowest, lock, lossy = measured()
    for table in (slowest, lock, lossy):
        assert table.title and table.reading
        assert all(len(row) == len(table.columns) for row in table.rows)

    assert [row[0] for row in slowest.rows] == [1, 2]
    assert all(1.0 <= float(median) <= float(within) for _, median, _, within in slowest.rows)

    (_, _, _, free), (_, _, _, locked) = lock.rows
    assert float(free) > float(locked)

    clean, bad = lossy.rows
    percent, retries, duplicates, ran, failed, useful, seconds = clean
    assert (percent, retries, duplicates, ran, failed, useful) == (0, 0, 0, 10, 0, 100)
    assert bad[0] == 30 and int(bad[1]) > 0 and int(bad[3]) <= 10 and int(bad[5]) < 100
    assert float(bad[6]) > float(seconds)

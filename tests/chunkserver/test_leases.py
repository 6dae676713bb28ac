"""Lab 3's reference, parts D and E: leases, as a table."""

from __future__ import annotations

from typing import Any

import pytest

from labkit import errors


def test_a_lease_ends_on_time_and_is_renewed_only_for_its_version(lab: Any) -> None:
    leases, lease = lab("leases").Leases(), lab("leases").Lease
    leases.grant(7, lease(2, 60.0, ("b",)))
    assert leases.current(7, 59.9) == lease(2, 60.0, ("b",))
    assert leases.current(7, 60.0) is None
    leases.renew(7, 3, 100.0)
    leases.renew(7, 2, 50.0)
    assert leases.held(59.0) == {7: 2} and leases.held(60.0) == {}
    leases.renew(7, 2, 70.0)
    assert leases.held(69.0) == {7: 2}


def test_an_ended_lease_does_not_come_back(lab: Any) -> None:
    leases, lease = lab("leases").Leases(), lab("leases").Lease
    leases.grant(7, lease(2, 60.0, ()))
    leases.end(7, 2)
    assert leases.current(7, 0.0) is None
    leases.renew(7, 2, 100.0)
    with pytest.raises(errors.StaleVersion):
        leases.grant(7, lease(2, 60.0, ()))
    leases.grant(7, lease(3, 60.0, ()))
    leases.end(7, 2)
    assert leases.held(0.0) == {7: 3}


def test_a_grant_that_comes_twice_or_late_takes_nothing_back(lab: Any) -> None:
    leases, lease = lab("leases").Leases(), lab("leases").Lease
    leases.grant(7, lease(3, 60.0, ()))
    leases.grant(7, lease(3, 50.0, ()))
    with pytest.raises(errors.StaleVersion):
        leases.grant(7, lease(2, 90.0, ()))
    assert leases.current(7, 55.0) == lease(3, 60.0, ())

"""The dump of all replicas at the end of a run is of one moment, though the master may be moving replicas meanwhile."""

from __future__ import annotations

from typing import Any, cast

from harness.gfs import DUMPS, Gfs
from harness.history import Chunk, Handle, Replica


class Moving:
    """A truth in which the version goes up after every look, so many times; its replica is `ahead` of the master."""

    def __init__(self, looks: int, ahead: int = 0) -> None:
        self._left, self._version, self._ahead = looks, 1, ahead

    def chunks(self, path: str) -> list[Chunk]:
        found = [Chunk(path, 0, Handle(7), self._version, ("cs1",))]
        if self._left:
            self._left, self._version = self._left - 1, self._version + 1
        return found

    def replica(self, chunk: Chunk, server: str) -> Replica:
        return Replica(chunk.handle, server, self._version + self._ahead, 0, ())


def dump(truth: Moving) -> tuple[list[Any], int]:
    """What is dumped, and how often time had to pass."""
    gfs = cast(Any, Gfs.__new__(Gfs))
    rests: list[float] = []
    gfs.truth, gfs.pass_time = truth, rests.append
    return gfs._dump("/log"), len(rests)


def test_what_is_at_rest_is_dumped_once() -> None:
    (chunk, replica), rests = dump(Moving(0))
    assert (chunk.version, replica.version, rests) == (1, 1, 0)


def test_a_version_that_goes_up_meanwhile_is_looked_at_again() -> None:
    (chunk, replica), rests = dump(Moving(3))
    assert chunk.version == replica.version == 4
    assert rests > 0


def test_a_replica_may_be_ahead_of_the_master_for_ever() -> None:
    """It was told of a version which the master then did not commit: nobody waits for that to change."""
    (chunk, replica), rests = dump(Moving(0, ahead=2))
    assert (chunk.version, replica.version, rests) == (1, 3, 0)


def test_what_never_rests_is_taken_as_it_is() -> None:
    (chunk, replica), rests = dump(Moving(1000))
    assert chunk.version != replica.version
    assert rests == DUMPS

"""Where bytes differ is said in words that tell one mistake from another."""

from __future__ import annotations

import pytest

from harness.differences import difference
from harness.disk_faults import moment

RECORDS = b"record" * 100


@pytest.mark.parametrize(
    "found, words",
    [
        (RECORDS, ""),
        (b"", "no bytes, instead of 600"),
        (RECORDS[:599], "599 bytes instead of 600, right as far as they go"),
        (RECORDS + b"junk", "604 bytes instead of 600, right up to there; then b'junk'"),
        (
            RECORDS[:500] + b"W" + RECORDS[501:],
            "600 bytes, different from byte 500 on: b'recordreWordreco' at byte 492, not b'recordrecordreco'",
        ),
        (b"R" + RECORDS[1:], "600 bytes, different from byte 0 on: b'Recordre' at byte 0, not b'recordre'"),
    ],
)
def test_a_difference_is_told_by_its_place(found: bytes, words: str) -> None:
    assert difference(found, RECORDS) == words


def test_the_moment_of_a_crash_is_told_in_words() -> None:
    assert [moment(when, 3) for when in ("before", "half", "after")] == [
        "before disk operation 3",
        "half-way through disk operation 3",
        "after disk operation 3",
    ]

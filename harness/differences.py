"""Where bytes differ from what they should be, in words: two long strings cut short look alike."""

from __future__ import annotations

AROUND = 8  # bytes that are shown before and from the first one that differs


def difference(found: bytes, wanted: bytes) -> str:
    """How `found` differs from `wanted`; empty when it does not.

    `714 bytes, different from byte 500 on: b'WWWWWWWWrecordre' at byte 492, not b'WWWWWWWWWWWWWWWW'`
    """
    if found == wanted:
        return ""
    if not found:
        return f"no bytes, instead of {len(wanted)}"
    count = (
        f"{len(found)} bytes" if len(found) == len(wanted) else f"{len(found)} bytes instead of {len(wanted)}"
    )
    shorter = min(len(found), len(wanted))
    first = next((at for at in range(shorter) if found[at] != wanted[at]), shorter)
    if first == len(found):
        return f"{count}, right as far as they go"
    if first == len(wanted):
        return f"{count}, right up to there; then {found[first : first + AROUND]!r}"
    start = max(0, first - AROUND)
    here, right = (data[start : first + AROUND] for data in (found, wanted))
    return f"{count}, different from byte {first} on: {here!r} at byte {start}, not {right!r}"

"""Sequences of events."""

from __future__ import annotations

from typing import Any

Step = list[Any]


def duplicate_record() -> list[Step]:
    return [
        ["hold", "reply", "append", "primary", "c2", 100],
        ["append", "c2"],
        ["pass", 60.0],
        ["release"],
        ["wait"],
    ]


def inconsistent_region() -> list[Step]:
    return [
        ["hold", "request", "apply", "primary", "secondary2", 40],
        ["append", "c2"],
        ["pass", 12.0],
        ["release"],
        ["wait"],
    ]


def undefined_region() -> list[Step]:
    return [
        ["hold", "reply", "write", "any", "c2", 40],
        ["write", "c2", 4000, 192],
        ["pass", 0.3],
        ["write", "c1", 4080, 32],
        ["pass", 0.3],
        ["release"],
        ["wait"],
    ]


def stale_read() -> list[Step]:
    return [
        ["scan", "c2", "fresh"],
        ["wait"],
        ["partition", ["secondary2"], ["master", "primary", "secondary1", "c1"]],
        ["partition", ["c2"], ["primary", "secondary1"]],
        ["append", "c1"],
        ["wait"],
        ["scan", "c2", "cached"],
        ["wait"],
    ]


def contradicting_orders() -> list[Step]:
    return [
        ["lose", "request", "apply", "primary", "secondary2", 3],
        ["hold", "reply", "append", "primary", "c2", 40],
        ["append", "c2"],
        ["pass", 8.0],
        ["append", "c1"],
        ["pass", 4.0],
        ["release"],
        ["wait"],
        ["partition", ["c2"], ["secondary1", "secondary2"]],
        ["partition", ["c1"], ["primary", "secondary1"]],
        ["scan", "c2", "fresh"],
        ["scan", "c1", "fresh"],
        ["wait"],
    ]

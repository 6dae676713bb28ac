"""Sequences of events."""

from __future__ import annotations

from typing import Any

Step = list[Any]


def duplicate_record() -> list[Step]:
    return [
        ["lose", "reply", "append", "any", "c1", 4],
        ["append", "c1"],
        ["pass", 30.0],
        ["wait"],
    ]


def inconsistent_region() -> list[Step]:
    return [
        ["partition", ["primary"], ["secondary2"]],
        ["append", "c1"],
        ["pass", 12.0],
        ["heal"],
        ["wait"],
    ]


def undefined_region() -> list[Step]:
    return [
        ["hold", "reply", "write", "any", "c1", 40],
        ["write", "c1", 8096, 192],
        ["pass", 0.3],
        ["write", "c2", 8160, 48],
        ["pass", 0.3],
        ["release"],
        ["wait"],
    ]


def stale_read() -> list[Step]:
    return [
        ["append", "c2"],
        ["wait"],
        ["scan", "c1", "fresh"],
        ["wait"],
        ["partition", ["c1"], ["primary", "secondary1"]],
        ["partition", ["master", "primary", "secondary1", "c2"], ["secondary2"]],
        ["append", "c2"],
        ["wait"],
        ["append", "c2"],
        ["wait"],
        ["scan", "c1", "cached"],
        ["wait"],
    ]


def contradicting_orders() -> list[Step]:
    return [
        ["lose", "request", "apply", "primary", "secondary1", 3],
        ["hold", "reply", "append", "primary", "c1", 40],
        ["append", "c1"],
        ["pass", 8.0],
        ["append", "c2"],
        ["pass", 4.0],
        ["release"],
        ["wait"],
        ["partition", ["c2"], ["secondary1", "primary"]],
        ["partition", ["c1"], ["primary", "secondary2"]],
        ["scan", "c2", "fresh"],
        ["scan", "c1", "fresh"],
        ["wait"],
    ]

"""Sequences of events."""

from __future__ import annotations

from typing import Any

Step = list[Any]


def duplicate_record() -> list[Step]:
    return [
        ["lose", "reply", "append", "primary", "c1", 1],
        ["append", "c1"],
        ["pass", 0.4],
        ["restart", "primary"],
        ["wait"],
    ]


def inconsistent_region() -> list[Step]:
    return [
        ["append", "c2"],
        ["wait"],
        ["lose", "request", "apply", "primary", "secondary2", 60],
        ["append", "c1"],
        ["append", "c2"],
        ["pass", 16.0],
        ["heal"],
        ["wait"],
    ]


def undefined_region() -> list[Step]:
    return [
        ["write", "c1", 0, 64],
        ["wait"],
        ["hold", "reply", "write", "any", "c2", 40],
        ["write", "c2", 4080, 160],
        ["pass", 0.3],
        ["write", "c1", 4080, 160],
        ["pass", 0.3],
        ["release"],
        ["wait"],
    ]


def stale_read() -> list[Step]:
    return [
        ["scan", "c2", "fresh"],
        ["wait"],
        ["partition", ["c2"], ["primary", "secondary2"]],
        ["partition", ["secondary1"], ["master", "primary", "secondary2", "c1"]],
        ["append", "c1"],
        ["wait"],
        ["append", "c1"],
        ["wait"],
        ["scan", "c2", "cached"],
        ["wait"],
    ]


def contradicting_orders() -> list[Step]:
    return [
        ["hold", "reply", "append", "primary", "c1", 40],
        ["lose", "request", "apply", "primary", "secondary1", 3],
        ["append", "c1"],
        ["pass", 9.0],
        ["append", "c2"],
        ["pass", 3.0],
        ["release"],
        ["wait"],
        ["partition", ["c1"], ["secondary1", "primary"]],
        ["partition", ["c2"], ["primary", "secondary2"]],
        ["scan", "c2", "fresh"],
        ["scan", "c1", "fresh"],
        ["wait"],
    ]

"""Values that cannot be sent, by name: the control channel could not bring them to a node either."""

from __future__ import annotations

from typing import Any

ODD_VALUES: dict[str, Any] = {
    "an integer of 65 bits": 2**64,
    "a negative integer of 65 bits": -(2**63) - 1,
    "an integer of 1000 bits": 2**1000,
    "a set": {1, 2},
    "an object": object(),
    "a map whose keys are integers": {1: "one"},
    "a huge integer deep inside": {"list": [1, {"deep": [2**64]}]},
}


def odd_value(what: str) -> Any:
    return ODD_VALUES[what]

"""Whether values have the shapes that the catalogue of RPCs writes down (labkit/protocol.py).

int  float  bool  str      str?  or nil      [int]  a list of them
[[handle: int, until: float]]                a list of lists with these elements
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from harness.failures import BROKEN, LabFailure
from harness.network.frame import REQUEST, Frame
from labkit.protocol import CATALOGUE

SIMPLE: dict[str, type | tuple[type, ...]] = {"int": int, "float": (int, float), "bool": bool, "str": str}
_NOTHING: Mapping[str, str] = {}
_ROW = re.compile(r"\[\[(.*)\]\]")


def fits(value: Any, shape: str) -> bool:
    if shape.endswith("?"):
        return value is None or fits(value, shape[:-1])
    if row := _ROW.fullmatch(shape):
        parts = [part.partition(": ")[2] for part in row[1].split(", ")]
        return isinstance(value, list) and all(_is_row(one, parts) for one in cast(list[Any], value))
    if shape.startswith("["):
        return isinstance(value, list) and all(fits(one, shape[1:-1]) for one in cast(list[Any], value))
    return isinstance(value, SIMPLE[shape]) and (shape == "bool") == isinstance(value, bool)


def _is_row(value: Any, parts: list[str]) -> bool:
    if not isinstance(value, list) or len(cast(list[Any], value)) != len(parts):
        return False
    return all(fits(one, part) for one, part in zip(cast(list[Any], value), parts, strict=True))


def what_is_wrong(shapes: Mapping[str, str], values: Mapping[str, Any]) -> str:
    """Which value is missing or has another shape than it should; empty if none."""
    for name, shape in shapes.items():
        if name not in values:
            return f"without {name}"
        if not fits(values[name], shape):
            return f"with a {name} that is no {shape}"
    return ""


def check_reply(node: str, method: str, result: Any) -> dict[str, Any]:
    """`result`, a map that has every field of the method's reply in its shape; else a LabFailure in words."""
    shapes = CATALOGUE[method].reply
    words = (
        f"a map with {', '.join(f'{name}: {shape}' for name, shape in shapes.items())}" if shapes else "a map"
    )
    expected = f"{words} (docs/protocol.md)"
    if not isinstance(result, dict):
        raise LabFailure(
            f"{node} answered {method} with no map", expected=expected, seen=f"{result!r:.200}", kind=BROKEN
        )
    answer = cast(dict[str, Any], result)
    if wrong := what_is_wrong(shapes, answer):
        raise LabFailure(
            f"{node} answered {method} {wrong}", expected=expected, seen=f"{answer!r:.200}", kind=BROKEN
        )
    return answer


def oddity(frame: Frame) -> str:
    """What in a message is not as docs/protocol.md says, in words; empty if nothing is. A method that it does not have
    may be answered with anything."""
    method = CATALOGUE.get(frame.method)
    if frame.failed or (method is None and frame.kind != REQUEST and "result" in frame.header):
        return ""
    if frame.kind == REQUEST:
        what, part, shapes = f"for {frame.method}", "args", method.args if method else _NOTHING
    else:
        what, part, shapes = f"to {frame.method}", "result", method.reply if method else _NOTHING
    values = frame.header.get(part)
    wrong = (
        what_is_wrong(shapes, cast(dict[str, Any], values)) if isinstance(values, dict) else f"without {part}"
    )
    return f"{frame.sender} sent {frame.receiver} a {frame.kind} {what} {wrong}" if wrong else ""

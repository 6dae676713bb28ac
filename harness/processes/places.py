"""Where in the student's code something is: an error, or a thread."""

from __future__ import annotations

import os
import sys
import threading
import traceback
from collections.abc import Mapping
from types import FrameType, TracebackType
from typing import Any

from harness.processes import linux
from labkit.errors import LabError

MOST_THREADS = 200  # whose places are told


def describe(error: BaseException, roots: Mapping[str, str]) -> dict[str, Any]:
    """An exception as plain data: its type, message, place in the student's code, and traceback."""
    message = str(error)
    place = _place(error.__traceback__, roots)
    if isinstance(error, SyntaxError) and error.filename:
        place = f"{_short(error.filename, roots)} line {error.lineno}"
        message = error.msg
    return {
        "type": type(error).__name__,
        "message": message[:2000],
        "documented": isinstance(error, LabError),
        "definite": bool(getattr(error, "definite", False)),
        "code": str(getattr(error, "code", ""))[:100],
        "place": place,
        "traceback": _own_traceback(error, roots)[-4000:],
    }


def busiest(roots: Mapping[str, str]) -> str:
    """Where the thread of this process is that has run most: the innermost line in one of the source roots, or ''."""
    thread = max(threading.enumerate(), key=lambda one: linux.processor_seconds(f"self/task/{one.native_id}"))
    lines = _own_lines(_frames().get(thread.ident or 0), roots)
    return lines[0] if lines else ""


def standing(roots: Mapping[str, str]) -> list[str]:
    """Where the threads of this process are that are in the source roots: the innermost line in each package, and after
    a ``>`` the one in the package that it has called."""
    found: list[str] = []
    for frame in list(_frames().values())[:MOST_THREADS]:
        innermost: dict[str, str] = {}
        for line in _own_lines(frame, roots):
            innermost.setdefault(line.partition("/")[0], line)
        if innermost:
            found.append(" > ".join(reversed(innermost.values())))
    return found


def _frames() -> dict[int, FrameType]:
    return sys._current_frames()  # pyright: ignore[reportPrivateUsage]


def _own_lines(frame: FrameType | None, roots: Mapping[str, str]) -> list[str]:
    """The lines of a stack that are in one of the source roots, innermost first."""
    stack = traceback.walk_stack(frame) if frame is not None else ()
    return [
        f"{_short(one.f_code.co_filename, roots)} line {line}, in {one.f_code.co_name}"
        for one, line in stack
        if _is_own(one.f_code.co_filename, roots)
    ]


def _own_traceback(error: BaseException, roots: Mapping[str, str]) -> str:
    """The calls that lead to the error, without those of the harness and the standard library."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_own(frame.filename, roots)]
    lines = [
        f"{_short(frame.filename, roots)} line {frame.lineno}, in {frame.name}: {frame.line}"
        for frame in frames
    ]
    return "\n".join([*lines, "".join(traceback.format_exception_only(type(error), error)).strip()])


def _is_own(filename: str, roots: Mapping[str, str]) -> bool:
    return any(filename.startswith(root + os.sep) for root in roots.values())


def _place(trace: TracebackType | None, roots: Mapping[str, str]) -> str:
    """The innermost line that is in one of the source roots, or ''."""
    found = ""
    for frame in traceback.extract_tb(trace):
        if _is_own(frame.filename, roots):
            found = f"{_short(frame.filename, roots)} line {frame.lineno}"
    return found


def _short(filename: str, roots: Mapping[str, str]) -> str:
    for root in roots.values():
        if filename.startswith(root + os.sep):
            return filename[len(root) + 1 :]
    return filename

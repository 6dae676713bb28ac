"""Whether importing a program only computes: then it need not be done again in every node.

A node's modules have to be its own: one that draws a number, looks at the clock, opens a file or starts a thread when it is
imported must do so in every life of every node. One that only defines functions and classes is the same wherever it was
imported. So an import is watched for what it calls: all functions of Python are made of functions written in C, and of
those only the ones listed here surely do nothing but compute. Whatever else is called, or left open, makes an import
impure. A mistake in that direction costs time only.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

_COMPUTING = frozenset(
    [
        "_abc",
        "_bisect",
        "_codecs",
        "_collections",
        "_functools",
        "_heapq",
        "_imp",
        "_operator",
        "_sre",
        "_struct",
        "_typing",
        "_warnings",
        "_weakref",
        "binascii",
        "builtins",
        "collections",
        "enum",
        "functools",
        "itertools",
        "math",
        "operator",
        "re",
        "struct",
        "types",
        "typing",
        "weakref",
        "zlib",
        "crc32c",
        "msgspec",
        "msgspec.msgpack",
    ]
)
# Functions of other modules that are needed to define classes and to have locks.
_ALLOWED = frozenset(
    {
        ("_thread", "__enter__"),
        ("_thread", "__exit__"),
        ("_thread", "allocate_lock"),
        ("_thread", "acquire"),
        ("_thread", "release"),
        ("posix", "fspath"),
        ("sys", "_clear_type_descriptors"),  # a dataclass with slots
        ("sys", "_getframe"),
        ("sys", "_getframemodulename"),
        ("sys", "getrecursionlimit"),
        ("sys", "intern"),
    }
)
_FORBIDDEN = frozenset({("builtins", name) for name in ("breakpoint", "input", "open", "print")})
# What classes inherit, whoever wrote them.
_OF_CLASSES = frozenset({"__init_subclass__", "__new__", "__prepare__", "__subclasses__", "mro"})
_IMPORTING = "<frozen importlib"  # the import system looks at files, which every import does
_ENVIRONMENT = frozenset(
    getattr(type(os.environ), name).__code__
    for name in ("__getitem__", "__setitem__", "__delitem__", "__iter__")
)


def watch_import(load: Callable[[], object], impure: Callable[[str], None]) -> None:
    """Call `load` in a process with one thread; `impure` with a word, before anything is done that is not computing.

    When `impure` does not return, it is not done.
    """

    def watch(frame: FrameType, event: str, called: Any) -> None:
        if event == "c_call":
            code = frame.f_code
            if not _computes(called) and code is not own and not code.co_filename.startswith(_IMPORTING):
                impure(f"{_home(called)}.{called.__name__}")
        elif event == "call" and frame.f_code in _ENVIRONMENT:
            impure("os.environ")

    own = watch_import.__code__  # which ends the watch itself
    files = _open_files()
    sys.setprofile(watch)
    try:
        load()
    finally:
        sys.setprofile(None)
    if threading.active_count() > 1:
        impure("a thread")
    if _open_files() != files:
        impure("an open file")


def _computes(called: Any) -> bool:
    home, name = _home(called), called.__name__
    if (home, name) in _FORBIDDEN:
        return False
    return home in _COMPUTING or (home, name) in _ALLOWED or name in _OF_CLASSES


def _home(called: Any) -> str:
    """The module that a function written in C belongs to, or the type of what it is a method of."""
    owner = getattr(called, "__self__", None)
    if owner is None:  # a method that was looked up on its class
        owner = getattr(called, "__objclass__", None)
    if owner is None or type(owner).__name__ == "module":
        return str(getattr(called, "__module__", None) or getattr(owner, "__name__", ""))
    kind = owner if isinstance(owner, type) else type(owner)
    return kind.__module__


def _open_files() -> list[str]:
    return sorted(os.listdir("/proc/self/fd"))

"""Imports inside a node: exactly the packages of the workspace, each from its one root.

No source root is ever put on sys.path. A student's `socket.py` or `json.py` beside a package therefore shadows
nothing, and a package whose `__init__.py` was deleted is an error instead of falling through to some other
directory of that name.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType


class WorkspaceFinder(MetaPathFinder):
    """Finds the top-level packages of `roots` (package name -> directory holding it), and refuses `forbidden`."""

    def __init__(self, roots: Mapping[str, str], forbidden: Sequence[str] = ()) -> None:
        self._roots = dict(roots)
        self._forbidden = frozenset(forbidden)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if path is not None:
            return None  # a module inside a package: the package's own path decides
        if fullname in self._forbidden:
            raise ImportError(f"{fullname} is not for this lab's code to import")
        root = self._roots.get(fullname)
        if root is None:
            return None
        spec = PathFinder.find_spec(fullname, [root])
        if spec is None or spec.origin is None:
            raise ImportError(f"{root}/{fullname} is no package: it needs an __init__.py")
        return spec


def import_package(name: str, roots: Mapping[str, str]) -> ModuleType:
    """The package `name`, or a module of a package, surely from its root in `roots`."""
    module = importlib.import_module(name)
    parts = name.split(".")
    wanted = Path(roots[parts[0]], *parts)
    found = Path(module.__file__ or "").resolve()
    if found not in (Path(wanted, "__init__.py").resolve(), wanted.with_suffix(".py").resolve()):
        raise ImportError(f"{name} came from {found} instead of {wanted}")
    return module


def restrict(roots: Mapping[str, str], bytecode: str) -> None:
    """Let this process import the packages of `roots`, and neither the other labs' nor the kit's own programs."""
    others = {"rpc", "gfs_master", "chunkserver", "consistency"} - set(roots)
    sys.meta_path.insert(0, WorkspaceFinder(roots, sorted(others | {"solutions", "grader"})))
    sys.pycache_prefix = bytecode


def hide_kit(kit: str) -> None:
    """Take the kit's tree and the current directory off the path; done once, in the zygote."""
    sys.path[:] = [entry for entry in sys.path if entry and Path(entry).resolve() != Path(kit)]

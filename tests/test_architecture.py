"""Who may import whom, and what no file may do (docs/architecture.md), decided on the syntax tree.

Rules are functions from a file's place and text to sentences; each is shown to fail on a planted violation.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from harness.workspace import LABS

KIT = Path(__file__).resolve().parent.parent
STDLIB = sys.stdlib_module_names | {"tomllib"}  # the latter since 3.11, and only asked for there
ROOTS = [lab.root for lab in LABS.values()]
PACKAGES = [root[3:] for root in ROOTS]  # in the order of the labs
RUNTIME = ["pytest", "rich", "networkx", "msgspec", "msgpack", "crc32c", "click", "tomli"]


class Room(NamedTuple):
    """Files whose path matches may import these modules, besides the standard library."""

    path: str
    may: set[str]


# The first room that matches a path is its room; a file without a room is an error.
ROOMS = [
    Room(r"labkit/.*", {"labkit", "msgspec", "crc32c"}),
    *(
        Room(f"(solutions|labs)/{root}/{root[3:]}/.*", {"labkit", *PACKAGES[: number + 1]})
        for number, root in enumerate(ROOTS)
    ),
    Room(r"labs/[^/]+/tests/.*", {"pytest", "labkit", "harness"}),
    Room(r"harness/grading/.*", {"harness", "labkit", "pytest", "rich", "click", "tomli"}),
    Room(r"harness/checker/.*", {"harness", "labkit", "networkx"}),
    Room(r"harness/fixtures\.py", {"harness", "labkit", "pytest"}),
    Room(r"harness/.*", {"harness", "labkit", "msgpack"}),
    Room(r"tools/.*", {"tools", "labkit"}),
    Room(r"grader\.py", {"harness"}),
    Room(r"tests/.*", {"tests", "tools", "harness", "labkit", *PACKAGES, *RUNTIME, "hypothesis"}),
    Room(r"benchmarks/.*", {"benchmarks", "harness", "labkit", *PACKAGES, *RUNTIME, "Pyro5", "rpyc", "grpc"}),
]

# What student code and we ourselves build on must be free of these.
KIT_CODE = r"(labkit|harness|solutions|tools)/.*|grader\.py|labs/[^/]+/tests/.*"
NEVER_IMPORTED = {
    "asyncio": "two to three times slower than plain sockets, and a second way to do what threads do here",
    "pickle": "runs whatever code its input names",
    "marshal": "crashes on input it does not like",
    "shelve": "is pickle",
}
NEVER_CALLED = {"eval", "exec"}
IMPORTERS = {"importlib.import_module", "import_module", "__import__"}
EVERYTHING = {"Exception", "BaseException"}

# In a node, time and chance come from its context (labkit.Context), or nothing could be replayed.
NODE_CODE = r"(labkit|solutions)/.*"
PASSED_IN = {"time": set[str](), "random": {"Random"}, "secrets": set[str](), "uuid": set[str]()}
EXCEPTIONS = {
    ("labkit/clock.py", "time.monotonic"): "SystemClock is where real time comes in",
    ("labkit/clock.py", "time.sleep"): "SystemClock is where real time comes in",
    (
        "solutions/01_rpc/rpc/server.py",
        "time.monotonic",
    ): "stop() waits for real threads, not for protocol time",
}


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and module of every import; relative ones stay in their package and are left out."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.lineno, node.module or ""
        elif isinstance(node, ast.Call) and dotted(node.func) in IMPORTERS:
            yield from (
                (node.lineno, str(given.value)) for given in node.args[:1] if isinstance(given, ast.Constant)
            )


def dotted(node: ast.AST) -> str:
    """`time.sleep` for that expression; empty for anything that is no chain of names."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (inner := dotted(node.value)):
        return f"{inner}.{node.attr}"
    return ""


def import_rule(path: str, tree: ast.AST) -> Iterator[str]:
    room = next((room for room in ROOMS if re.fullmatch(room.path, path)), None)
    if room is None:
        yield f"{path} is in no room: give it one in {Path(__file__).name}"
        return
    for line, module in imports(tree):
        top = module.split(".")[0]
        if top == "solutions":
            yield f"{path}:{line} imports {module}: nobody does"
        elif top not in STDLIB | room.may:
            yield f"{path}:{line} imports {module}; files like {room.path} may import {sorted(room.may)}"


def danger_rule(path: str, tree: ast.AST) -> Iterator[str]:
    if not re.fullmatch(KIT_CODE, path):
        return
    for line, module in imports(tree):
        top = module.split(".")[0]
        if top in NEVER_IMPORTED:
            yield f"{path}:{line} imports {top}, which {NEVER_IMPORTED[top]}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and dotted(node.func).removeprefix("builtins.") in NEVER_CALLED:
            yield f"{path}:{node.lineno} calls {dotted(node.func)}"


def swallow_rule(path: str, tree: ast.AST) -> Iterator[str]:
    if not re.fullmatch(KIT_CODE, path):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type] if node.type else []
            names = {dotted(kind) for kind in kinds}
            silent = all(
                isinstance(item, ast.Pass | ast.Continue) or _is_ellipsis(item) for item in node.body
            )
            if not kinds:
                yield f"{path}:{node.lineno} has a bare except"
            elif silent and names & EVERYTHING:
                yield f"{path}:{node.lineno} swallows every error"
        elif isinstance(node, ast.Call) and dotted(node.func).endswith("suppress"):
            if {dotted(kind) for kind in node.args}.isdisjoint(EVERYTHING):
                continue
            yield f"{path}:{node.lineno} swallows every error"


def _is_ellipsis(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and node.value.value is ...


def passed_in_rule(path: str, tree: ast.AST) -> Iterator[str]:
    if not re.fullmatch(NODE_CODE, path):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            used = [dotted(node)]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            used = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):  # under another name it would get past us
            used = [f"{alias.name}.{alias.asname}" for alias in node.names if alias.asname]
        else:
            continue
        for name in used:
            module, _, attribute = name.partition(".")
            if (
                attribute
                and attribute not in PASSED_IN.get(module, {attribute})
                and (path, name) not in EXCEPTIONS
            ):
                yield f"{path}:{node.lineno} uses {name}; a node's time and chance come from its context"


Rule = Callable[[str, ast.AST], Iterator[str]]
RULES: list[Rule] = [import_rule, danger_rule, swallow_rule, passed_in_rule]


def python_files() -> list[str]:
    """Every Python file of the kit; what git would not keep is nobody's business here."""
    skipped = {
        ".git",
        ".venv",
        "__pycache__",
        ".ruff_cache",
        ".pytest_cache",
        ".hypothesis",
        ".labkit",
        "build",
        "dist",
    }
    # What is in tests/hostile breaks rules on purpose, those of Python among them.
    paths = [path.relative_to(KIT) for path in KIT.rglob("*.py")]
    paths = [path for path in paths if path.parts[:2] != ("tests", "hostile")]
    return sorted(path.as_posix() for path in paths if not skipped.intersection(path.parts))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_kit_keeps_the_rule(rule: Rule) -> None:
    broken: list[str] = []
    for path in python_files():
        try:
            broken += rule(path, ast.parse((KIT / path).read_bytes()))
        except SyntaxError as error:
            broken.append(f"{path}:{error.lineno} is no Python: {error.msg}")
    assert not broken, "\n".join(broken)


def test_files_were_found() -> None:
    assert {"labkit/clock.py", "tools/starters.py", "harness/workspace.py"} <= set(python_files())


def test_exceptions_are_still_needed() -> None:
    for path, name in EXCEPTIONS:
        tree = ast.parse((KIT / path).read_bytes())
        assert name in {dotted(node) for node in ast.walk(tree)}, f"{path} no longer uses {name}"


VIOLATIONS = [
    (import_rule, "labkit/clock.py", "import networkx"),
    (import_rule, "labkit/clock.py", "from harness import cluster"),
    (import_rule, "solutions/01_rpc/rpc/server.py", "import msgpack"),
    (import_rule, "solutions/01_rpc/rpc/server.py", "def f():\n    import gfs_master.log"),
    (import_rule, "solutions/02_gfs_master/gfs_master/log.py", "import chunkserver"),
    (import_rule, "labs/01_rpc/rpc/server.py", "from harness.network import frame"),
    (import_rule, "labs/01_rpc/tests/test_a.py", "import rpc"),
    (import_rule, "labs/01_rpc/tests/test_a.py", "from rich import print"),
    (import_rule, "harness/cluster.py", "import rpc"),
    (import_rule, "harness/cluster.py", "import importlib\nimportlib.import_module('gfs_master.server')"),
    (import_rule, "harness/cluster.py", "from solutions.x import y"),
    (import_rule, "tests/test_x.py", "import solutions"),
    (import_rule, "harness/cluster.py", "import rich.console"),
    (import_rule, "harness/cluster.py", "import pytest"),
    (import_rule, "harness/grading/cli.py", "import networkx"),
    (import_rule, "harness/checker/graph.py", "import click"),
    (import_rule, "grader.py", "import rich"),
    (import_rule, "tools/starters.py", "from harness.workspace import LABS"),
    (import_rule, "attic/new.py", ""),
    (danger_rule, "harness/cluster.py", "import asyncio.streams"),
    (danger_rule, "labkit/disk.py", "from pickle import loads"),
    (danger_rule, "harness/cluster.py", "import marshal"),
    (danger_rule, "harness/cluster.py", "eval('1')"),
    (danger_rule, "labs/01_rpc/tests/test_a.py", "import builtins\nbuiltins.exec('1')"),
    (swallow_rule, "harness/cluster.py", "try:\n    f()\nexcept:\n    raise"),
    (swallow_rule, "harness/cluster.py", "try:\n    f()\nexcept BaseException:\n    pass"),
    (
        swallow_rule,
        "labkit/disk.py",
        "for x in y:\n    try:\n        f()\n    except (ValueError, Exception):\n        continue",
    ),
    (swallow_rule, "tools/x.py", "with contextlib.suppress(Exception):\n    f()"),
    (passed_in_rule, "labkit/disk.py", "import time\ntime.sleep(1)"),
    (passed_in_rule, "labkit/clock.py", "import time\ntime.time()"),
    (passed_in_rule, "solutions/01_rpc/rpc/server.py", "from time import sleep"),
    (passed_in_rule, "solutions/01_rpc/rpc/server.py", "import time as t\nt.sleep(1)"),
    (passed_in_rule, "solutions/01_rpc/rpc/server.py", "import random\nrandom.choice([1])"),
    (passed_in_rule, "solutions/01_rpc/rpc/server.py", "import uuid\nuuid.uuid4()"),
]


@pytest.mark.parametrize(("rule", "path", "source"), VIOLATIONS)
def test_planted_violation_is_noticed(rule: Rule, path: str, source: str) -> None:
    assert list(rule(path, ast.parse(source)))


ALLOWED = [
    (
        "solutions/04_consistency/consistency/client.py",
        "import rpc\nfrom labkit.errors import X\nimport random\nrng: random.Random",
    ),
    (
        "labs/02_gfs_master/gfs_master/log.py",
        "from rpc import Client\nfrom . import a\nfrom gfs_master.b import c",
    ),
    (
        "labs/03_chunkserver/tests/test_a.py",
        "import pytest, harness.cluster, labkit.errors, os, re\nre.compile('x')",
    ),
    ("harness/checker/graph.py", "import networkx as nx"),
    ("harness/grading/manifest.py", "import tomllib, tomli, rich.console, click, pytest"),
    ("harness/cluster.py", "import time\ntime.sleep(1)\ntry:\n    f()\nexcept BaseException as e:\n    g(e)"),
]


@pytest.mark.parametrize(("path", "source"), ALLOWED)
def test_what_is_allowed_stays_allowed(path: str, source: str) -> None:
    assert [text for rule in RULES for text in rule(path, ast.parse(source))] == []

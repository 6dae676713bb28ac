"""Linted, formatted, strictly typed; and no dependency without a reason."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.patience import longest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

KIT = Path(__file__).resolve().parent.parent

CHECKS = {
    "lint": ["ruff", "check", "--no-cache"],
    "format": ["ruff", "format", "--check", "--no-cache"],
    "types": ["basedpyright", "--pythonpath", sys.executable],
}


def run(arguments: list[str], *paths: Path) -> subprocess.CompletedProcess[str]:
    """A tool of the `dev` extra in this Python's own environment, over `paths` or what pyproject.toml says."""
    tool = arguments[0]
    if importlib.util.find_spec(tool) is None:
        missing = f"{tool} is not installed here: python -m pip install -r requirements-dev.lock"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    command = [sys.executable, "-m", *arguments, *map(str, paths)]
    return subprocess.run(command, cwd=KIT, capture_output=True, text=True, timeout=longest(60))


@pytest.mark.parametrize("check", CHECKS)
def test_the_kit_is_clean(check: str) -> None:
    done = run(CHECKS[check])
    assert done.returncode == 0, done.stdout + done.stderr


def test_tools_are_typed_too() -> None:
    done = run(CHECKS["types"], KIT / "tools")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("check", "source"),
    [
        ("lint", "import os\n"),
        ("format", "x = {  'a':1}\n"),
        ("types", "def f(x):\n    return x.y\n\n\nz: int = 'text'\n"),
    ],
)
def test_planted_violation_is_noticed(check: str, source: str, tmp_path: Path) -> None:
    bad = tmp_path / "bad.py"
    bad.write_text(source)
    done = run(CHECKS[check], bad)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "bad.py" in done.stdout + done.stderr


# ---- dependencies


def dependencies(project: dict[str, Any]) -> set[str]:
    """The packages that pyproject.toml asks for, extras included, by their normal names."""
    groups = [project.get("dependencies", []), *project.get("optional-dependencies", {}).values()]
    return {_normal(re.split(r"[^\w.-]", need, maxsplit=1)[0]) for group in groups for need in group}


def reasons(document: str) -> dict[str, str]:
    """The rows of every table whose first line is `| package | why |`."""
    rows: dict[str, str] = {}
    inside = False
    for line in document.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.strip().startswith("|"):
            inside = False
        elif [cell.lower() for cell in cells[:2]] == ["package", "why"]:
            inside = True
        elif inside and len(cells) > 1 and not set(cells[0]) <= set("-: "):
            name = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", cells[0]).strip("`* ")
            rows[_normal(name)] = cells[1]
    return rows


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_dependency_has_a_reason() -> None:
    project = tomllib.loads((KIT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    document = KIT / "docs" / "architecture.md"
    assert document.is_file(), (
        "docs/architecture.md has to say why each dependency is there: | package | why |"
    )
    given = {name for name, why in reasons(document.read_text(encoding="utf-8")).items() if why}
    assert dependencies(project) - given == set(), "packages without a row in docs/architecture.md"
    assert given - dependencies(project) == set(), "rows in docs/architecture.md for packages nobody asks for"


def test_table_of_reasons_is_read() -> None:
    document = """
| package | other |
|---|---|
| rich | no reason |

| Package | Why |
|---|---|
| `google_crc32c` | checksums |
| [msgpack](https://msgpack.org) | the wire |
| click | |

| attrs | after the table |
"""
    assert reasons(document) == {"google-crc32c": "checksums", "msgpack": "the wire", "click": ""}


def test_dependencies_are_read() -> None:
    project = {
        "dependencies": ["Rich>=1,<2", "tomli>=2; python_version < '3.11'"],
        "optional-dependencies": {"x": ["a.b[c]"]},
    }
    assert dependencies(project) == {"rich", "tomli", "a-b"}

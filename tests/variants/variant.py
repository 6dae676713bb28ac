"""Other right answers: correct solutions that differ from the reference in design, and must score 100.

Each directory `tests/variants/<lab>/<slug>/` holds files that are laid over a copy of the reference's package, and a
`variant.toml`:

    title = "One event loop for all connections"
    differs = "what is done another way, in words"
    without = ["calls", "duplicates"]        # optional: modules of the reference's package that it does without
    uses = ["lab01/one_loop"]                # optional: variants of earlier labs that it stands on, else the reference
    quick = ["test_names"]                   # the graded tests that its difference bears on most, for the sample in selftest
    [[change]]                               # optional: small changes to files of the reference, as mutants make them
    file = "02_gfs_master/gfs_master/server.py"
    old = '''…'''
    new = '''…'''

A graded test that a variant fails asks for more than handout and protocol do, or the variant is wrong.
"""

from __future__ import annotations

import importlib
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.workspace import LABS
from tests.mutants.mutant import Change, replace

KIT = Path(__file__).resolve().parent.parent.parent
VARIANTS = Path(__file__).parent
KEYS = {"title", "differs", "without", "uses", "quick", "change"}
toml: Any = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")


@dataclass(frozen=True)
class Variant:
    """`lab` and `package` it replaces; `modules` are its own files in that package."""

    path: Path
    lab: str
    package: str
    title: str
    differs: str
    without: tuple[str, ...]
    uses: tuple[str, ...]
    quick: tuple[str, ...]
    changes: tuple[Change, ...]

    @property
    def name(self) -> str:
        return f"{self.lab}/{self.path.name}"

    @property
    def modules(self) -> list[Path]:
        return sorted((self.path / self.package).rglob("*.py"))


def read_variant(path: Path) -> Variant:
    data: dict[str, Any] = toml.loads((path / "variant.toml").read_text(encoding="utf-8"))
    if unknown := set(data) - KEYS:
        raise ValueError(f"{path}: unknown keys {sorted(unknown)}; known are {sorted(KEYS)}")
    lab = LABS[path.parent.name]
    return Variant(
        path,
        lab.name,
        lab.package,
        data["title"],
        data["differs"],
        tuple(data.get("without", ())),
        tuple(data.get("uses", ())),
        tuple(data["quick"]),
        tuple(Change(**change) for change in data.get("change", ())),
    )


def variants() -> list[Variant]:
    return [read_variant(path.parent) for path in sorted(VARIANTS.glob("lab*/*/variant.toml"))]


def assemble(variant: Variant, submission: Path) -> None:
    """A hand-in at `submission`: the variant, what it uses, and the reference for the rest of the labs."""
    for lab in LABS.values():
        source = KIT / "solutions" / lab.root / lab.package
        shutil.copytree(
            source, submission / lab.root / lab.package, ignore=shutil.ignore_patterns("__pycache__")
        )
    for name in (*variant.uses, variant.name):
        lay_over(read_variant(VARIANTS / name), submission)


def lay_over(variant: Variant, submission: Path) -> None:
    package = submission / LABS[variant.lab].root / variant.package
    for module in variant.without:
        (package / f"{module}.py").unlink()
    for change in variant.changes:
        replace(change, submission)
    shutil.copytree(
        variant.path / variant.package,
        package,
        dirs_exist_ok=True,
        ignore=shutil.ignore_patterns("__pycache__"),
    )

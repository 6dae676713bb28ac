"""Generates the starters in labs/ from the reference in solutions/, by its markers (tools/markers.py).

    python -m tools.starters --check            are the starters what the solutions generate?
    python -m tools.starters --write lab01      generate one lab's (without a name: all)

A student works in the very files this tool writes. So `labs/01_rpc/.starter.json` keeps the hash of every
generated file, and `--write` touches a file only while it still has it; `--force` overrides. Exit codes:
0 fine, 1 a solution or a starter is wrong, 2 refused.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import hashlib
import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.markers import Definition
from tools.starter_text import Starter, make_starter

KIT = Path(__file__).resolve().parent.parent
STAMP = ".starter.json"
DIFF_LINES = 40


@dataclass(frozen=True)
class Package:
    """One reference package: `solutions/01_rpc/rpc` is the package rpc of lab 1, with the root 01_rpc."""

    number: int
    root: str
    name: str
    directory: Path

    @property
    def lab(self) -> str:
        return f"lab{self.number:02}"


@dataclass(frozen=True)
class Tree:
    """What a package generates: contents by path below its root, and all that is wrong."""

    files: dict[str, bytes]
    parts: Counter[str]
    problems: list[str]

    @property
    def stamp(self) -> bytes:
        hashes = {path: hashlib.sha256(data).hexdigest() for path, data in sorted(self.files.items())}
        return (json.dumps({"generated": hashes}, indent=1) + "\n").encode()


def find_packages(kit: Path) -> list[Package]:
    """All packages in solutions/, whether markers are right or not."""
    found: list[Package] = []
    for root in sorted((kit / "solutions").glob("[0-9][0-9]_*")):
        name = root.name[3:]
        if (root / name / "__init__.py").is_file():
            found.append(Package(int(root.name[:2]), root.name, name, root / name))
    return found


def generate(package: Package) -> Tree:
    """The starter of a whole package, in memory."""
    files: dict[str, bytes] = {}
    starters: dict[str, Starter] = {}
    for path in sorted(package.directory.rglob("*")):
        if path.is_dir() or "__pycache__" in path.parts:
            continue
        name = path.relative_to(package.directory.parent).as_posix()
        files[name] = path.read_bytes()
        if path.suffix == ".py":
            starters[name] = make_starter(files[name].decode(), package.number, name)
            files[name] = starters[name].text.encode()
    where = f"solutions/{package.root}"
    problems = [f"{where}/{name}: {text}" for name, made in starters.items() for text in made.problems]
    parts = Counter(mark.part for made in starters.values() for mark in made.to_write)
    if not problems:
        problems += [f"{where}/{text}" for text in _dangling_imports(starters)]
    if not problems and not parts:
        problems.append(f"{where}: no function is marked, so the starter would be the whole solution")
    return Tree(files, parts, problems)


def check(package: Package, tree: Tree, kit: Path) -> list[str]:
    """How labs/ differs from what the solution generates; empty if it does not."""
    target = kit / "labs" / package.root
    expected = {**tree.files, STAMP: tree.stamp}
    differences: list[str] = []
    for name in sorted({*expected, *_present(target, package.name)}):
        place = f"labs/{package.root}/{name}"
        path = target / name
        if name not in expected:
            differences.append(f"{place} is there, and the solution has no such file")
        elif not path.is_file():
            differences.append(f"{place} is missing")
        elif path.read_bytes() != expected[name]:
            differences.append(_diff(path.read_bytes(), expected[name], place))
    return differences


def changed_by_hand(package: Package, tree: Tree, kit: Path) -> list[Path]:
    """Files that `write` would overwrite or remove, and that somebody has worked on."""
    target = kit / "labs" / package.root
    stamp = _read_stamp(target)
    changed: list[Path] = []
    for name in sorted({*tree.files, *stamp}):
        path = target / name
        if not path.exists():
            continue
        data = path.read_bytes()
        if data != tree.files.get(name) and hashlib.sha256(data).hexdigest() != stamp.get(name):
            changed.append(path)
    return changed


def write(package: Package, tree: Tree, kit: Path) -> None:
    """Puts the tree into labs/, and takes out what an earlier one had and this has not. Stamp last."""
    target = kit / "labs" / package.root
    for name in _read_stamp(target).keys() - tree.files.keys():
        (target / name).unlink(missing_ok=True)
    for name, data in tree.files.items():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (target / STAMP).write_bytes(tree.stamp)


def main(arguments: Sequence[str], kit: Path = KIT) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tools.starters", description="Generate the starters in labs/."
    )
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--write", action="store_true", help="generate")
    action.add_argument("--check", action="store_true", help="compare, and change nothing")
    parser.add_argument("--force", action="store_true", help="overwrite files that were changed by hand")
    parser.add_argument("--root", type=Path, default=kit, metavar="DIR", help="labs/ is below DIR")
    parser.add_argument("labs", nargs="*", metavar="LAB", help="lab01, lab02, ... (default: all)")
    options = parser.parse_args(arguments)
    packages = find_packages(kit)
    unknown = sorted(set(options.labs) - {package.lab for package in packages})
    if unknown:
        known = ", ".join(package.lab for package in packages) or "none"
        return _refuse(f"solutions/ has no {', '.join(unknown)}; it has {known}")
    chosen = [package for package in packages if not options.labs or package.lab in options.labs]
    trees = [(package, generate(package)) for package in chosen]
    problems = [problem for _, tree in trees for problem in tree.problems]
    if problems:
        return _say(problems)
    if options.check:
        differences = [text for package, tree in trees for text in check(package, tree, options.root)]
        if differences:
            differences.append(
                "Generate the starters again: python -m tools.starters --write (in a student's copy of the kit, "
                "where labs/ is worked on, this is as it should be)"
            )
        return _say(differences)
    return _write_all(trees, options.root, options.force)


def _write_all(trees: Iterable[tuple[Package, Tree]], kit: Path, force: bool) -> int:
    trees = list(trees)
    changed = [path for package, tree in trees for path in changed_by_hand(package, tree, kit)]
    if changed and not force:
        names = ", ".join(path.relative_to(kit).as_posix() for path in changed)
        return _refuse(f"not written, because somebody has worked on {names}; --force throws that work away")
    for package, tree in trees:
        write(package, tree, kit)
        parts = ", ".join(f"part {part}: {count}" for part, count in sorted(tree.parts.items()))
        print(f"labs/{package.root}: {len(tree.files)} files; functions to write: {parts}")
    return 0


def _dangling_imports(starters: dict[str, Starter]) -> list[str]:
    """Given imports of a helper that no module of the package gives any more."""
    trees = {name: ast.parse(made.text) for name, made in starters.items()}
    nodes = [(name, node) for name, tree in trees.items() for node in ast.walk(tree)]
    gone = {name for made in starters.values() for name in made.vanished}
    gone -= {node.name for _, node in nodes if isinstance(node, Definition)}
    return [
        f"{name}: given code imports {alias.name}, which vanishes"
        for name, node in nodes
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.name in gone
    ]


def _present(target: Path, package: str) -> list[str]:
    """What is in labs/ for a package, but for what Python itself puts there."""
    paths = [
        path for path in (target / package).rglob("*") if path.is_file() and "__pycache__" not in path.parts
    ]
    return [path.relative_to(target).as_posix() for path in paths]


def _read_stamp(target: Path) -> dict[str, str]:
    """Hashes by path; an unreadable stamp vouches for nothing, and no path in it leads out of the lab."""
    try:
        hashes = json.loads((target / STAMP).read_text(encoding="utf-8"))["generated"]
        return {
            str(name): str(value)
            for name, value in hashes.items()
            if not re.search(r"^/|(^|/)\.\.(/|$)", str(name))
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def _diff(present: bytes, expected: bytes, place: str) -> str:
    lines = list(
        difflib.unified_diff(
            present.decode(errors="replace").splitlines(),
            expected.decode(errors="replace").splitlines(),
            f"{place} (as it is)",
            f"{place} (as the solution generates it)",
            lineterm="",
        )
    )
    more = [f"... {len(lines) - DIFF_LINES} more lines"] if len(lines) > DIFF_LINES else []
    return "\n".join([*lines[:DIFF_LINES], *more])


def _say(problems: list[str]) -> int:
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


def _refuse(sentence: str) -> int:
    print(sentence, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

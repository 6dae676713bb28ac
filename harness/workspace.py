"""Which directory each of the four packages comes from.

A numbered directory (``labs/01_rpc``) is a source root, never a package; the package inside it carries
its name without the number (``rpc``). A ``Workspace`` maps each package to exactly one root, so that a
process never finds the same package twice, and never falls through from a student's broken package to the
reference: what is missing is recorded as missing, with the sentence a person needs to read.

Lab N may import the packages of labs before it. ``Workspace.for_lab`` gives a test only what its lab
needs; labs 2 and 3 are tested against scripted stubs, so lab 3 needs no master.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

KIT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Lab:
    """One lab: its name, its source root's name, its package, and the packages its tests need."""

    name: str
    root: str
    package: str
    needs: tuple[str, ...]


LABS: dict[str, Lab] = {
    lab.name: lab
    for lab in (
        Lab("lab01", "01_rpc", "rpc", ("rpc",)),
        Lab("lab02", "02_gfs_master", "gfs_master", ("rpc", "gfs_master")),
        Lab("lab03", "03_chunkserver", "chunkserver", ("rpc", "chunkserver")),
        Lab("lab04", "04_consistency", "consistency", ("rpc", "gfs_master", "chunkserver", "consistency")),
    )
}


class WorkspaceError(Exception):
    """The code to run is not where it was said to be; the text is one sentence for a person."""


@dataclass(frozen=True)
class Workspace:
    """Package name -> the directory that contains the package.

    ``implementation`` says in words whose code this is. ``missing`` maps a package that could not be used
    to the reason. ``options`` are the command line arguments that choose this workspace again.
    """

    roots: Mapping[str, Path]
    implementation: str
    missing: Mapping[str, str] = field(default_factory=dict[str, str])
    options: tuple[str, ...] = ()

    @classmethod
    def labs(cls, kit: Path = KIT) -> Workspace:
        """The student's own code, in ``labs/``."""
        roots, missing = _numbered(kit / "labs")
        return cls(roots, "labs", missing)

    @classmethod
    def solution(cls, kit: Path = KIT) -> Workspace:
        """The reference, in ``solutions/``."""
        roots, missing = _numbered(kit / "solutions")
        return cls(roots, "solution", missing, ("--solution",))

    @classmethod
    def submission(cls, directory: Path | str) -> Workspace:
        """Somebody's hand-in: ``DIR/labs/01_rpc/rpc``, ``DIR/01_rpc/rpc`` or ``DIR/rpc``, per package.

        Raises ``WorkspaceError`` when ``directory`` is unusable as a whole, or a symbolic link leads out
        of it. A package that is only absent is recorded in ``missing``.
        """
        if not str(directory):
            raise WorkspaceError("the submission has an empty name; give its directory")
        top = _readable_directory(Path(directory))
        roots: dict[str, Path] = {}
        missing: dict[str, str] = {}
        for lab in LABS.values():
            candidates = (top / "labs" / lab.root, top / lab.root, top)
            root, problem = _choose(candidates, lab.package, f"the submission {top}")
            if root is None:
                missing[lab.package] = problem
            else:
                _refuse_escape(root / lab.package, top)
                roots[lab.package] = root
        if not roots:
            names = ", ".join(lab.package for lab in LABS.values())
            raise WorkspaceError(
                f"{top} contains none of the packages {names} (looked for labs/01_rpc/rpc, 01_rpc/rpc, rpc "
                "and so on, each with an __init__.py)"
            )
        return cls(roots, f"submission {directory}", missing, ("--submission", str(directory)))

    def with_reference(self, names: Iterable[str], kit: Path = KIT) -> Workspace:
        """The same, but the packages of the named labs come from ``solutions/``."""
        chosen = sorted(set(names))
        if not chosen:
            return self
        roots, missing = dict(self.roots), dict(self.missing)
        for name in chosen:
            if name not in LABS:
                raise WorkspaceError(f"unknown lab {name!r}; the labs are {', '.join(LABS)}")
            lab = LABS[name]
            root, problem = _choose([kit / "solutions" / lab.root], lab.package, "the kit")
            if root is None:
                raise WorkspaceError(problem)
            roots[lab.package] = root
            missing.pop(lab.package, None)
        return replace(
            self,
            roots=roots,
            missing=missing,
            implementation=f"{self.implementation} with reference {', '.join(chosen)}",
            options=(*self.options, "--reference", ",".join(chosen)),
        )

    def for_lab(self, name: str) -> Workspace:
        """Only the packages that lab ``name`` needs; the reasons of the missing ones stay."""
        needs = LABS[name].needs
        return replace(
            self,
            roots={package: self.roots[package] for package in needs if package in self.roots},
            missing={package: self.missing[package] for package in needs if package in self.missing},
        )

    def require(self, name: str) -> None:
        """Raise ``WorkspaceError`` when a package that lab ``name`` needs is missing."""
        for package in LABS[name].needs:
            if package not in self.roots:
                raise WorkspaceError(self.missing.get(package, f"the package {package} is missing"))

    def digest(self) -> str:
        """A hash of all Python files, to tell whether two runs graded the same code."""
        total = hashlib.sha256()
        for package in sorted(self.roots):
            for path in sorted((self.roots[package] / package).rglob("*.py")):
                name = path.relative_to(self.roots[package]).as_posix()
                total.update(f"{name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
        return total.hexdigest()


def lab_of_path(path: Path) -> Lab | None:
    """The lab whose numbered directory encloses ``path``, the innermost first."""
    by_root = {lab.root: lab for lab in LABS.values()}
    return next((by_root[part] for part in reversed(path.parts) if part in by_root), None)


def _numbered(parent: Path) -> tuple[dict[str, Path], dict[str, str]]:
    roots: dict[str, Path] = {}
    missing: dict[str, str] = {}
    for lab in LABS.values():
        root, problem = _choose([parent / lab.root], lab.package, "the kit")
        if root is None:
            missing[lab.package] = problem
        else:
            roots[lab.package] = root
    return roots, missing


def _choose(candidates: Iterable[Path], package: str, where: str) -> tuple[Path | None, str]:
    """The first candidate that has the package, or None and a sentence that says what is wrong."""
    tried: list[str] = []
    for root in candidates:
        directory = root / package
        if not os.path.lexists(directory):
            tried.append(str(directory))
        elif not directory.is_dir():
            return None, f"{directory} is not a directory, so there is no package {package}"
        elif not (directory / "__init__.py").is_file():
            return None, f"{directory} has no __init__.py, so there is no package {package}"
        else:
            return root.resolve(), ""
    return None, f"{where} has no package {package} (looked for {', '.join(tried)})"


def _readable_directory(directory: Path) -> Path:
    try:
        if not directory.exists():
            raise WorkspaceError(f"the submission {directory} does not exist")
        if not directory.is_dir():
            raise WorkspaceError(f"the submission {directory} is a file; give the directory that holds it")
        next(directory.iterdir(), None)
        return directory.resolve()
    except OSError as problem:
        reason = problem.strerror or str(problem)
        raise WorkspaceError(f"the submission {directory} cannot be read: {reason}") from problem


def _refuse_escape(package: Path, top: Path) -> None:
    """A link to a file outside, such as the reference, would be graded as the student's own work."""
    for path in (package, *_links(package)):
        if not path.resolve().is_relative_to(top):
            raise WorkspaceError(
                f"{path} leads out of the submission to {path.resolve()}; a submission must hold its own files"
            )


def _links(package: Path) -> Iterable[Path]:
    try:
        for directory, names, files in os.walk(package):
            for name in (*names, *files):
                path = Path(directory, name)
                if path.is_symlink():
                    yield path
    except OSError as problem:
        raise WorkspaceError(f"{package} cannot be read: {problem.strerror}") from problem

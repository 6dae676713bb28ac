"""Which directory each package comes from, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.workspace import LABS, Workspace, WorkspaceError, lab_of_path
from tests.test_grading_fake import FakeKit


@pytest.fixture
def kit(tmp_path: Path) -> FakeKit:
    return FakeKit(tmp_path / "kit")


@pytest.mark.parametrize("below", ["labs/01_rpc", "01_rpc", "."])
def test_a_submission_may_be_laid_out_in_three_ways(kit: FakeKit, tmp_path: Path, below: str) -> None:
    kit.package(tmp_path / "hand-in" / below, "rpc")
    workspace = Workspace.submission(tmp_path / "hand-in")
    assert workspace.roots == {"rpc": (tmp_path / "hand-in" / below).resolve()}
    assert workspace.implementation == f"submission {tmp_path / 'hand-in'}"
    assert set(workspace.missing) == {lab.package for lab in LABS.values()} - {"rpc"}


def test_labs_and_solutions_are_whole_and_apart(kit: FakeKit) -> None:
    labs, solution = Workspace.labs(kit.root), Workspace.solution(kit.root)
    assert not labs.missing and not solution.missing
    assert {root.parent.name for root in labs.roots.values()} == {"labs"}
    assert {root.parent.name for root in solution.roots.values()} == {"solutions"}
    assert (labs.implementation, solution.implementation) == ("labs", "solution")


def test_a_reference_replaces_only_the_named_labs(kit: FakeKit) -> None:
    workspace = Workspace.labs(kit.root).with_reference(["lab02", "lab02"], kit.root)
    parents = {package: root.parent.name for package, root in workspace.roots.items()}
    assert parents.pop("gfs_master") == "solutions"
    assert set(parents.values()) == {"labs"}
    assert workspace.implementation == "labs with reference lab02"
    with pytest.raises(WorkspaceError, match="unknown lab 'lab9'"):
        workspace.with_reference(["lab9"], kit.root)


def test_a_package_without_init_is_missing_and_never_replaced_by_the_reference(kit: FakeKit) -> None:
    (kit.root / "labs/01_rpc/rpc/__init__.py").unlink()
    workspace = Workspace.labs(kit.root)
    assert "rpc" not in workspace.roots
    with pytest.raises(WorkspaceError, match=r"rpc has no __init__\.py"):
        workspace.require("lab03")


@pytest.mark.parametrize("lab", LABS)
def test_a_lab_gets_what_it_needs_and_no_more(kit: FakeKit, lab: str) -> None:
    assert tuple(Workspace.labs(kit.root).for_lab(lab).roots) == LABS[lab].needs
    earlier = [one.package for one in LABS.values() if one.name <= lab]
    assert set(LABS[lab].needs) <= set(earlier)


def test_directories_that_are_no_submission_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    empty = tmp_path / "empty"
    empty.mkdir()
    for path, says in (
        (tmp_path / "nowhere", "does not exist"),
        (file, "is a file"),
        (empty, "contains none of the packages"),
        (Path("/proc/self/mem/x"), "does not exist|cannot be read"),
    ):
        with pytest.raises(WorkspaceError, match=says):
            Workspace.submission(path)


def test_an_unreadable_submission_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: Path) -> list[Path]:  # root, who may run these tests, can read everything
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", denied)
    with pytest.raises(WorkspaceError, match="cannot be read: Permission denied"):
        Workspace.submission(tmp_path)


@pytest.mark.parametrize("link", ["rpc", "labs", "labs/01_rpc", "rpc/client.py", "rpc/inner"])
def test_links_out_of_a_submission_are_refused(kit: FakeKit, tmp_path: Path, link: str) -> None:
    outside = {
        "rpc": kit.root / "solutions/01_rpc/rpc",
        "labs": kit.root / "solutions",
        "labs/01_rpc": kit.root / "solutions/01_rpc",
        "rpc/client.py": kit.root / "solutions/01_rpc/rpc/__init__.py",
        "rpc/inner": kit.root / "solutions/01_rpc/rpc",
    }[link]
    top = tmp_path / "hand-in"
    if link.startswith("rpc/"):
        kit.package(top, "rpc")
    (top / link).parent.mkdir(parents=True, exist_ok=True)
    (top / link).symlink_to(outside)
    with pytest.raises(WorkspaceError, match="leads out of the submission"):
        Workspace.submission(top)


def test_links_inside_a_submission_are_fine(kit: FakeKit, tmp_path: Path) -> None:
    package = kit.package(tmp_path / "hand-in", "rpc")
    (package / "again.py").symlink_to("__init__.py")
    (tmp_path / "link").symlink_to(tmp_path / "hand-in")
    assert Workspace.submission(tmp_path / "link").roots == {"rpc": tmp_path / "hand-in"}


def test_the_digest_changes_with_the_code(kit: FakeKit) -> None:
    before = Workspace.labs(kit.root).digest()
    assert Workspace.labs(kit.root).digest() == before
    (kit.root / "labs/01_rpc/rpc/client.py").write_text("x = 1")
    assert Workspace.labs(kit.root).digest() != before


def test_a_path_belongs_to_the_lab_around_it() -> None:
    found = lab_of_path(Path("/x/labs/03_chunkserver/tests/test_a.py"))
    assert found is not None and found.name == "lab03"
    assert lab_of_path(Path("/x/tests/test_a.py")) is None

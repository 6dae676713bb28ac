"""``grader.py`` on machines that lack something: one sentence and exit code 2, or it helps itself.

No test here needs a network. A bare interpreter stands for a fresh machine; a fake pip, which only writes
package metadata, stands for an installation that goes well or badly.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
GRADER = REPOSITORY / "grader.py"

_STUB = """
import os, sys
def main(arguments):
    print("ran", sys.prefix, arguments, os.environ.get("GRADER_BOOTSTRAP_STAGE"), os.environ.get("PYTHONPATH"))
    return 0
"""
_FAKE_PIP = """
import os, pathlib, runpy, site, sys
if os.environ.get("FAKE_PIP") == "fails":
    print("Collecting click")
    sys.exit("ERROR: No matching distribution found for click")
print("pip ran")
grader = runpy.run_path(os.environ["GRADER"])
for requirement in grader["RUNTIME"] + grader["BEFORE_3_11"]:
    if os.environ.get("FAKE_PIP") != "lies":
        name, version = requirement.split(",")[0].split(">=")
        directory = pathlib.Path(site.getsitepackages()[0], f"{name.replace('-', '_')}-{version}.dist-info")
        directory.mkdir(exist_ok=True)
        (directory / "METADATA").write_text(f"Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n")
with open(os.environ["LOG"], "a") as log:
    log.write(" ".join(sys.argv[1:]) + "\\n")
"""


class Machine:
    """A checkout with a stub for the harness, and a Python that has no packages at all."""

    def __init__(self, root: Path, python: Path) -> None:
        self.checkout = root / "check out"
        self.venv = self.checkout / ".venv"
        self.log = root / "log"
        self.elsewhere = root / "elsewhere"
        self._python = python
        package = self.checkout / "harness" / "grading"
        package.mkdir(parents=True)
        (package / "cli.py").write_text(_STUB)
        self.elsewhere.mkdir()
        for name in ("venv.py", "pip.py", "ensurepip.py"):  # a current directory must not matter
            (self.elsewhere / name).write_text("raise SystemExit('shadowed')")
        for name in ("grader.py", "requirements.lock", "requirements-dev.lock"):
            shutil.copy(REPOSITORY / name, self.checkout / name)

    def make_venv(self) -> None:
        """Somebody's own .venv, with the fake pip and nothing else."""
        venv.create(self.venv, symlinks=True, with_pip=False)
        (pip,) = self.venv.glob("lib/python*/site-packages")
        (pip / "pip").mkdir()
        (pip / "pip" / "__init__.py").write_text("")
        (pip / "pip" / "__main__.py").write_text(_FAKE_PIP)

    def grade(self, *, before: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the grader; ``before`` is code that makes the machine worse than it is."""
        grader = self.checkout / "grader.py"
        start = [str(grader)]
        if before:
            run = f"import runpy, sys; {before}; sys.argv = sys.argv[1:]; "
            start = ["-c", run + "runpy.run_path(sys.argv[0], run_name='__main__')", str(grader)]
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PIP_", "PYTHON", "PYTEST"))
        }
        return subprocess.run(
            [str(self._python), *start, "lab01", "--list"],
            cwd=self.elsewhere,
            env={
                **kept,
                "LOG": str(self.log),
                "GRADER": str(grader),
                "PIP_CONFIG_FILE": os.devnull,
                **environment,
            },
            capture_output=True,
            text=True,
            check=False,
        )

    def ran(self, run: subprocess.CompletedProcess[str]) -> bool:
        """Whether the harness was reached, inside .venv."""
        assert run.returncode == 0, run.stderr
        assert run.stdout == f"ran {self.venv} ['lab01', '--list'] None None\n"
        return True

    @property
    def installs(self) -> int:
        return len(self.log.read_text().splitlines()) if self.log.exists() else 0


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("bare")
    venv.create(directory, symlinks=True, with_pip=False)
    return directory / "bin" / "python"


@pytest.fixture
def machine(tmp_path: Path, bare_python: Path) -> Machine:
    return Machine(tmp_path, bare_python)


def complaint(run: subprocess.CompletedProcess[str]) -> str:
    """The sentence a person reads; a line that says what is being done may come before it."""
    assert run.returncode == 2, run
    assert run.stdout == ""
    lines = run.stderr.splitlines()
    assert all(line.startswith("grader: ") for line in lines), run.stderr
    assert len([line for line in lines if ": installing" not in line]) == 1
    return lines[-1]


def test_it_can_be_parsed_by_old_pythons() -> None:
    source = GRADER.read_bytes()
    source.decode("ascii")
    newer: list[type[ast.AST]] = [ast.JoinedStr, ast.AnnAssign, ast.NamedExpr, ast.Nonlocal, ast.Match]
    newer += [ast.AsyncFunctionDef, ast.Await, ast.YieldFrom, ast.Starred, ast.MatMult]
    for node in ast.walk(ast.parse(source, feature_version=(3, 6))):
        assert not isinstance(node, tuple(newer)), f"line {getattr(node, 'lineno', 0)}: {ast.dump(node)}"
        if isinstance(node, ast.Raise):
            assert node.cause is None
        if isinstance(node, ast.FunctionDef):
            every = node.args.args + node.args.kwonlyargs
            assert node.returns is None and not node.args.kwonlyargs and not node.args.posonlyargs
            assert all(one.annotation is None for one in every)


@pytest.mark.parametrize(
    ("before", "says"),
    [
        ("sys.version_info = (3, 6, 15)", "this is Python 3.6, and the labs need Python 3.10"),
        ("sys.version_info = (2, 7, 18)", "this is Python 2.7, and the labs need Python 3.10"),
        ("sys.platform = 'darwin'", "needs Linux"),
    ],
)
def test_an_old_python_or_another_system_is_told(machine: Machine, before: str, says: str) -> None:
    assert says in complaint(machine.grade(before=before))


def test_the_requirements_are_those_of_the_project() -> None:
    project = (REPOSITORY / "pyproject.toml").read_text()
    said = {
        name: re.findall(r'"(.+?)"', block)
        for name, block in re.findall(r"^(\w+) = \[\n(.*?)^\]", project, re.S | re.M)
    }
    tree = ast.parse(GRADER.read_text())
    ours = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.List)
    }
    assert [one for one in said["dependencies"] if ";" not in one] == ours["RUNTIME"]
    assert [one.split(";")[0].strip() for one in said["dependencies"] if ";" in one] == ours["BEFORE_3_11"]
    assert said["dev"] == ours["DEVELOPMENT"]


def test_a_python_that_has_everything_is_used_as_it_is(machine: Machine) -> None:
    run = subprocess.run(
        [sys.executable, str(machine.checkout / "grader.py"), "x"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stdout == f"ran {sys.prefix} ['x'] None None\n", run.stderr
    assert not machine.venv.exists()


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_stream_that_somebody_has_closed_costs_nothing(closed: str) -> None:
    grader = REPOSITORY / "grader.py"
    command = f'"$0" "$1" lab01 --list {closed}; echo "exit code $?"'
    run = subprocess.run(
        ["sh", "-c", command, sys.executable, str(grader)], capture_output=True, text=True, check=False
    )
    assert run.stdout.endswith("exit code 0\n"), run
    assert run.stderr == ""


def test_packages_are_installed_once_and_again_when_the_lock_changes(machine: Machine) -> None:
    machine.make_venv()
    first = machine.grade()
    assert machine.ran(first) and machine.installs == 1
    assert first.stderr.count("\n") == 1 and "installing the packages of requirements.lock" in first.stderr
    assert machine.log.read_text().endswith(f"-r {machine.checkout}/requirements.lock\n")

    second = machine.grade()
    assert machine.ran(second) and machine.installs == 1 and second.stderr == ""

    for metadata in machine.venv.glob("lib/python*/site-packages/click-*/METADATA"):
        metadata.unlink()  # the stamp promises more than there is
    assert machine.ran(machine.grade()) and machine.installs == 2


def test_somebodys_own_environment_is_used_and_not_touched(machine: Machine) -> None:
    machine.make_venv()
    machine.grade()
    (machine.venv / ".grader-installed").unlink()
    assert machine.ran(machine.grade()) and machine.installs == 1
    assert not (machine.venv / ".grader-installed").exists()


def test_a_pythonpath_leads_nowhere(machine: Machine, tmp_path: Path) -> None:
    machine.make_venv()
    machine.grade()
    (tmp_path / "harness").mkdir()
    (tmp_path / "harness" / "__init__.py").write_text("raise SystemExit('shadowed')")
    assert machine.ran(machine.grade(PYTHONPATH=str(tmp_path)))


def test_a_failing_installation_is_told_and_tried_again(machine: Machine) -> None:
    machine.make_venv()
    said = complaint(machine.grade(FAKE_PIP="fails"))
    assert "ERROR: No matching distribution found for click" in said and "network" in said


def test_an_installation_that_does_not_help_does_not_loop(machine: Machine) -> None:
    machine.make_venv()
    assert "still packages are missing" in complaint(machine.grade(FAKE_PIP="lies"))
    assert machine.installs == 1


def test_an_interrupted_environment_is_made_anew_and_no_network_is_told(machine: Machine) -> None:
    machine.make_venv()
    (machine.venv / ".grader-unfinished").touch()
    (machine.venv / "junk").touch()

    run = machine.grade(PIP_INDEX_URL="http://127.0.0.1:9/", PIP_RETRIES="0")

    assert "pip could not install requirements.lock" in complaint(run)
    assert machine.installs == 0, "the real pip of a new .venv was to be asked"
    assert not (machine.venv / "junk").exists()
    assert (machine.venv / ".grader-unfinished").exists()


@pytest.mark.parametrize("what", ["file", "link", "directory"])
def test_what_is_in_the_way_is_never_removed(machine: Machine, tmp_path: Path, what: str) -> None:
    if what == "file":
        machine.venv.write_text("mine")
    elif what == "link":
        machine.venv.symlink_to(tmp_path / "nowhere")
    else:
        machine.venv.mkdir()
        (machine.venv / "mine").touch()
    assert "is in the way" in complaint(machine.grade())
    assert os.path.lexists(machine.venv / "mine" if what == "directory" else machine.venv)


def test_a_python_without_venv_is_told_what_to_install(machine: Machine, tmp_path: Path) -> None:
    fake = tmp_path / "no-venv"
    fake.write_text("#!/bin/sh\necho 'ensurepip is not available'\nexit 1\n")
    fake.chmod(0o755)
    said = complaint(machine.grade(before=f"sys._base_executable = {str(fake)!r}"))
    assert "ensurepip is not available" in said
    assert "apt install python3." in said
    assert not machine.venv.exists()


def test_a_checkout_that_cannot_be_written_is_told(machine: Machine) -> None:
    code = "import pathlib\ndef denied(*_): raise PermissionError(13, 'Permission denied')\npathlib.Path.mkdir = denied"
    said = complaint(machine.grade(before=f"exec({code!r})"))
    assert "Permission denied" in said and "copy the kit" in said

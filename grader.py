#!/usr/bin/env python3
"""Grade the labs: python3 grader.py lab01|lab02|lab03|lab04|all|selftest [--help]

This file only gets the program going. It needs nothing but Python 3.10 on Linux: packages that are
missing go into a virtual environment .venv beside it, and then it runs itself again with that Python.
Any old Python must be able to parse it, to be told in one sentence what is wrong: hence no f-strings.
"""
# ruff: noqa: B904, RUF005, SIM102, UP031, UP036

import sys

if sys.version_info < (3, 10):
    sys.stderr.write(
        "grader: this is Python %d.%d, and the labs need Python 3.10 or newer: "
        "run me as python3.12 grader.py, for example.\n" % sys.version_info[:2]
    )
    sys.exit(2)
if not sys.platform.startswith("linux"):
    sys.stderr.write(
        "grader: the harness needs Linux (fork, prctl, epoll), and this is %s: "
        "use WSL, a virtual machine or a container.\n" % sys.platform
    )
    sys.exit(2)

import fcntl
import hashlib
import os
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

GRADER = Path(__file__).resolve()
HERE = GRADER.parent
VENV = HERE / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / ".grader-installed"  # hashes of the lock files that were installed in full
UNFINISHED = VENV / ".grader-unfinished"  # there while installing, and still there if that was killed
STAGE = "GRADER_BOOTSTRAP_STAGE"  # how far the process that became this one had come
CHECK = "--requirements-met"

# The same as in pyproject.toml; a test of the kit compares them.
RUNTIME = [
    "pytest>=8.3,<10",
    "pytest-timeout>=2.3,<3",
    "rich>=13.7,<16",
    "networkx>=3.2,<4",
    "msgspec>=0.19,<1",
    "msgpack>=1.0.8,<2",
    "crc32c>=2.7,<3",
    "click>=8.1,<9",
]
BEFORE_3_11 = ["tomli>=2.0,<3"]
DEVELOPMENT = ["ruff>=0.8,<1", "basedpyright>=1.23,<2", "hypothesis>=6.100,<7"]


class Trouble(Exception):
    """Something only a person can mend; one sentence."""


def main():
    have_streams()
    arguments = sys.argv[1:]
    stage = os.environ.pop(STAGE, "")
    if arguments[:1] == [CHECK]:
        return 0 if requirements_met(arguments[1:]) else 1
    try:
        if os.environ.pop("PYTHONPATH", None) is not None:
            # Whatever it leads to could be imported instead of the kit's own modules.
            become(sys.executable, arguments, stage)
        if not requirements_met(arguments):
            bootstrap(arguments, stage)
    except Trouble as problem:
        sys.stderr.write("grader: %s\n" % problem)
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("grader: interrupted while preparing .venv; the next run starts that anew.\n")
        return 2
    # Nothing is written beside the code, neither here nor in what is graded.
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(HERE))
    from harness.grading.cli import main as run

    return run(arguments)


def have_streams():
    """Put /dev/null where somebody has closed a stream of ours, or the next file that is opened takes its place."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            os.set_inheritable(number, True)
            setattr(sys, name, os.fdopen(number, "w" if number else "r"))


def requirements_met(arguments):
    """Whether this Python has all packages that the command needs, in versions that will do."""
    needed = RUNTIME + (BEFORE_3_11 if sys.version_info < (3, 11) else [])
    return all(has(requirement) for requirement in needed + (DEVELOPMENT if is_selftest(arguments) else []))


def is_selftest(arguments):
    return arguments[:1] == ["selftest"]


def has(requirement):
    """Whether this Python has a package such as "rich>=13.7,<16"."""
    name, _, bounds = requirement.partition(">=")
    low, _, high = bounds.partition(",<")
    try:
        found = numbers(metadata.version(name))
    except (metadata.PackageNotFoundError, AttributeError, OSError):
        return False
    return numbers(low) <= found < numbers(high)


def numbers(version):
    """The leading numbers of a version: "8.3.1rc2" is (8, 3)."""
    parts = []
    for part in version.split("."):
        if not part.isdigit():
            break
        parts.append(int(part))
    return tuple(parts)


def bootstrap(arguments, stage):
    """Go on in .venv, having made it if need be. Never returns; raises Trouble."""
    lock = "requirements-dev.lock" if is_selftest(arguments) else "requirements.lock"
    if stage == "installed":
        raise Trouble(
            "%s was installed into .venv, and still packages are missing: remove %s and run me again."
            % (lock, VENV)
        )
    try:
        # One at a time: many graders may be started at once. The lock is let go when we become another.
        fcntl.flock(os.open(str(HERE), os.O_RDONLY | os.O_CLOEXEC), fcntl.LOCK_EX)
        # At stage "stamp" the stamp, or somebody's own .venv, promised more than there is.
        if stage != "stamp" and is_whole():
            if fingerprint(lock) in stamped() or works([str(GRADER), CHECK] + arguments[:1]):
                become(PYTHON, arguments, "stamp")
        install(lock)
    except OSError as problem:
        raise Trouble(
            "cannot make %s (%s): copy the kit to a directory of yours, or install %s into a virtual "
            "environment elsewhere and run me with its Python." % (VENV, problem.strerror, lock)
        )
    become(PYTHON, arguments, "installed")


def is_whole():
    """Whether .venv is there, and nobody was killed while making it."""
    return PYTHON.exists() and not UNFINISHED.exists()


def works(words):
    """Whether the Python of .venv runs this successfully."""
    command = [str(PYTHON), "-I"] + words  # -I: nothing from the environment or the current directory
    try:
        return subprocess.call(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0
    except OSError:
        return False


def stamped():
    return STAMP.read_text().split() if STAMP.exists() else []


def fingerprint(lock):
    return hashlib.sha256((HERE / lock).read_bytes()).hexdigest()


def install(lock):
    """Make .venv whole: a new one if it does not work, then the packages of the lock file."""
    sys.stderr.write("grader: installing the packages of %s into %s, once.\n" % (lock, VENV))
    if not (is_whole() and works(["-c", "import pip, sys; sys.exit(sys.version_info < (3, 10))"])):
        make_venv()
    UNFINISHED.touch()
    run_pip(lock)
    # The development lock holds all that the other one does.
    STAMP.write_text("\n".join(fingerprint(name) for name in sorted({"requirements.lock", lock})))
    UNFINISHED.unlink()


def make_venv():
    """A new .venv with pip; what an interrupted run left there goes first, but nothing else does."""
    if VENV.is_symlink() or (VENV.exists() and not VENV.is_dir()):
        raise Trouble("%s is in the way and is no directory: remove it and run me again." % VENV)
    if VENV.is_dir():
        if any(VENV.iterdir()) and not (UNFINISHED.exists() or (VENV / "pyvenv.cfg").exists()):
            raise Trouble(
                "%s is in the way and is no virtual environment: remove it and run me again." % VENV
            )
        shutil.rmtree(str(VENV))
    VENV.mkdir()
    UNFINISHED.touch()
    base = getattr(sys, "_base_executable", None) or sys.executable
    made = subprocess.run(
        [base, "-I", "-m", "venv", str(VENV)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if made.returncode != 0:
        shutil.rmtree(str(VENV))
        raise Trouble(
            "this Python cannot make a virtual environment (%s): install its venv module (Debian and Ubuntu: "
            "apt install python%d.%d-venv) and run me again."
            % ((last_line(made.stdout),) + tuple(sys.version_info[:2]))
        )


def run_pip(lock):
    """Install exactly what the lock file says."""
    environment = dict(os.environ)
    for name in ("PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PYTHONHOME"):
        environment.pop(name, None)
    command = [str(PYTHON), "-I", "-m", "pip", "install", "--quiet", "--no-input"]
    command += ["--disable-pip-version-check", "-r", str(HERE / lock)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment)
    if done.returncode != 0:
        raise Trouble(
            "pip could not install %s (%s): check the network connection, which is needed only this once, "
            "and run me again." % (lock, last_line(done.stdout))
        )


def last_line(output):
    """What a program said last, preferring a line that names an error; printable and bounded."""
    lines = [line.strip() for line in output.decode("utf-8", "replace").splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error")] or lines or ["no reason given"]
    return "".join(letter for letter in errors[-1] if letter.isprintable())[:200].rstrip(".:")


def become(python, arguments, stage):
    """Run this file again with that Python, in this very process."""
    os.environ[STAGE] = stage
    if python is PYTHON:
        os.environ.pop("PYTHONHOME", None)
    try:
        os.execv(str(python), [str(python), str(GRADER)] + arguments)
    except OSError as problem:
        raise Trouble("cannot run %s (%s): remove .venv and run me again." % (python, problem.strerror))


if __name__ == "__main__":
    sys.exit(main())

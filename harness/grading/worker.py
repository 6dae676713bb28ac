"""A worker: a forked process in which pytest runs graded tests, one at a time, as its turn comes.

The tests are always the kit's own. Neither the environment (``PYTEST_ADDOPTS`` and its kin), nor other
installed pytest plugins, nor a ``conftest.py`` or ``pytest.ini`` that lies about can change a result. No
student code runs in this process.
"""

from __future__ import annotations

import fcntl
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from harness.grading.events import Ended, Event, Fault
from harness.grading.guard import RunGuard
from harness.grading.manifest import LabManifest
from harness.grading.plugin import Settings
from harness.grading.recorder import Recorder

_CONFIG = Path(__file__).with_name("graded.ini")
_UNUSED = (
    "cacheprovider",
    "logging",
    "junitxml",
    "pastebin",
    "doctest",
    "unittest",
    "setuponly",
    "setupplan",
)
_FOREIGN = ("PYTHONPATH", "PYTHONSTARTUP", "PYTHONHOME", "PYTHONINSPECT")


class Turns:
    """Numbers from 0, each given once, to whichever worker asks first."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the run
        self._file.write(bytes(8))
        self._file.flush()

    def take(self) -> int:
        """The next number. A worker that dies here lets the lock go."""
        fd = self._file.fileno()
        fcntl.lockf(fd, fcntl.LOCK_EX)
        try:
            number = int.from_bytes(os.pread(fd, 8, 0), "big")
            os.pwrite(fd, (number + 1).to_bytes(8, "big"), 0)
        finally:
            fcntl.lockf(fd, fcntl.LOCK_UN)
        return number

    def close(self) -> None:
        self._file.close()


def work(
    kit: Path,
    manifests: Sequence[LabManifest],
    settings: Settings,
    turns: Turns,
    tell: Callable[[Event], None],
) -> None:
    """Run items until there are no more turns; the last event is ``Ended``. Main thread of a process of its own."""
    guard = RunGuard()
    plugins: list[Any] = [Recorder(manifests, settings, tell), guard, _Loop(turns), _Silence()]
    _isolate()
    arguments = ["-c", str(_CONFIG), f"--rootdir={kit}", "--noconftest", f"--confcutdir={kit / 'labs'}"]
    arguments += ["--import-mode=importlib", "--continue-on-collection-errors", "-p", "pytest_timeout"]
    arguments += [word for name in _UNUSED for word in ("-p", f"no:{name}")]
    arguments += [str(one.directory) for one in manifests if one.tests and one.directory.is_dir()]
    with guard.installed():
        try:
            code = pytest.main(arguments, ["harness.grading.plugin", *plugins])
            if code == pytest.ExitCode.USAGE_ERROR:
                tell(Fault("pytest did not accept its arguments"))
        except KeyboardInterrupt:
            # It came while pytest was starting or ending; a test that holds processes is never there.
            guard.interrupted = guard.interrupted or "SIGINT"
    tell(Ended(guard.interrupted))


class _Loop:
    """Runs the items whose numbers this worker gets."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Instead of pytest's own loop, which runs all."""
        then = cast(pytest.Item, _Then(session))
        while (number := self._turns.take()) < len(session.items):
            item = session.items[number]
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=then)
        return True


class _Then:
    """Stands for the next item, which is not known yet: it will need what the session holds, and nothing else."""

    def __init__(self, session: pytest.Session) -> None:
        self._session = session

    def listchain(self) -> list[pytest.Session]:
        """What pytest asks the next item, to know what need not be torn down."""
        return [self._session]


class _Silence:
    """Takes away pytest's own report; the events and the terminal report say everything."""

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        config.pluginmanager.unregister(name="terminalreporter")


def _isolate() -> None:
    """An environment of our own, for pytest and for all processes that the tests start."""
    for name in list(os.environ):
        if name.startswith("PYTEST_") or name in _FOREIGN:
            del os.environ[name]
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    sys.dont_write_bytecode = True

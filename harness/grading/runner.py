"""Runs graded tests, isolated from everything around them.

The tests are always the kit's own. Neither the environment (``PYTEST_ADDOPTS`` and its kin), nor other
installed pytest plugins, nor a ``conftest.py`` or ``pytest.ini`` that lies about can change a result. No
student code runs in this process.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.grading.guard import RunGuard
from harness.grading.manifest import LabManifest
from harness.grading.plugin import Settings
from harness.grading.recorder import Recorder, Watcher
from harness.grading.score import Report, tally

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


def grade(
    kit: Path,
    manifests: Sequence[LabManifest],
    settings: Settings,
    watcher: Watcher,
    *,
    selected: bool = False,
) -> Report:
    """Run the tests of the manifests and report. ``selected`` says that not all of them were asked for.

    Must be called in the main thread. Never raises for what a test or a student does; an interruption is
    reported in ``Report.interrupted``.
    """
    recorder = Recorder(manifests, settings, watcher)
    guard = RunGuard()
    directories = [str(one.directory) for one in manifests if one.tests and one.directory.is_dir()]
    if directories:
        code = _run(kit, directories, recorder, guard)
        if code == pytest.ExitCode.USAGE_ERROR:
            recorder.faults.append("pytest did not accept its arguments")
    results = recorder.results()
    return Report(
        seed=settings.seed,
        implementation=settings.workspace.implementation,
        labs=tuple(tally(manifest, results) for manifest in manifests),
        selected=selected,
        faults=tuple(recorder.faults),
        covered=dict(recorder.covered),
        interrupted=guard.interrupted,
    )


def _run(kit: Path, directories: Sequence[str], recorder: Recorder, guard: RunGuard) -> int:
    arguments = ["-c", str(_CONFIG), f"--rootdir={kit}", "--noconftest", f"--confcutdir={kit / 'labs'}"]
    arguments += ["--import-mode=importlib", "--continue-on-collection-errors", "-p", "pytest_timeout"]
    arguments += [word for name in _UNUSED for word in ("-p", f"no:{name}")]
    with _isolated(), guard.installed():
        try:
            return int(
                pytest.main(
                    [*arguments, *directories], ["harness.grading.plugin", recorder, guard, _Silence()]
                )
            )
        except KeyboardInterrupt:
            # It came while pytest was starting or ending; a test that holds processes is never there.
            guard.interrupted = guard.interrupted or "SIGINT"
            return int(pytest.ExitCode.INTERRUPTED)


class _Silence:
    """Takes away pytest's own report; ``Recorder`` and the terminal report say everything."""

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        config.pluginmanager.unregister(name="terminalreporter")


@contextmanager
def _isolated() -> Generator[None, None, None]:
    """An environment of our own, for pytest and for all processes that the tests start."""
    environment = dict(os.environ)
    no_bytecode = sys.dont_write_bytecode
    for name in environment:
        if name.startswith("PYTEST_") or name in _FOREIGN:
            del os.environ[name]
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.dont_write_bytecode = no_bytecode
        os.environ.clear()
        os.environ.update(environment)

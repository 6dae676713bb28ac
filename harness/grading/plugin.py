"""The pytest plugin that gives graded tests their fixtures.

    python -m pytest -p harness.grading.plugin labs/01_rpc/tests --implementation solution

runs graded tests like any other, with pytest's own output; ``grader.py`` adds the bookkeeping of points
(``recorder.py``). ``workspace`` says where the packages of the test's lab come from, ``seed`` is the
test's own random seed. If ``harness.fixtures`` exists, its fixtures are there too.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from harness.failures import LabFailure
from harness.grading.seeds import derive, random_seed
from harness.workspace import Workspace, WorkspaceError, lab_of_path

REPETITION = "repetition"


@dataclass(frozen=True)
class Settings:
    """What a run of graded tests is given."""

    workspace: Workspace
    seed: int
    repeat: int = 1
    fixtures: str = "harness.fixtures"
    jobs: int = 1  # tests side by side
    expected_seconds: Mapping[str, float] = field(default_factory=dict[str, float])  # by key, as far as known


SETTINGS: pytest.StashKey[Settings] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options for those who run graded tests with plain pytest."""
    group = parser.getgroup("labs", "graded tests of the labs")
    group.addoption(
        "--implementation", default="labs", metavar="labs|solution|DIR", help="whose code to test"
    )
    group.addoption("--lab-seed", type=int, default=None, help="the run's seed (random when not given)")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Settle the settings and bring in the harness's fixtures."""
    if SETTINGS not in config.stash:
        seed: int | None = config.getoption("--lab-seed")
        config.stash[SETTINGS] = Settings(
            _workspace_called(str(config.getoption("--implementation"))),
            random_seed() if seed is None else seed,
        )
    fixtures = config.stash[SETTINGS].fixtures
    if fixtures and importlib.util.find_spec(fixtures) and not config.pluginmanager.has_plugin(fixtures):
        config.pluginmanager.import_plugin(fixtures)


def pytest_report_header(config: pytest.Config) -> str:
    """Say which seed replays this run."""
    settings = config.stash[SETTINGS]
    return f"implementation: {settings.workspace.implementation}, --lab-seed {settings.seed}"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One item per repetition."""
    repeat = metafunc.config.stash[SETTINGS].repeat
    if repeat > 1:
        if REPETITION not in metafunc.fixturenames:
            metafunc.fixturenames.append(REPETITION)
        metafunc.parametrize(REPETITION, range(repeat), indirect=True)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """A package that is missing fails the tests of the labs that need it, in one sentence each."""
    lab = lab_of_path(item.path)
    if lab is not None:
        try:
            item.config.stash[SETTINGS].workspace.require(lab.name)
        except WorkspaceError as problem:
            raise LabFailure(str(problem), kind="missing package") from problem


@pytest.fixture
def workspace(request: pytest.FixtureRequest) -> Workspace:
    """The packages that this test's lab needs, and no others."""
    lab = lab_of_path(request.path)
    whole = request.config.stash[SETTINGS].workspace
    return whole.for_lab(lab.name) if lab is not None else whole


@pytest.fixture
def repetition(request: pytest.FixtureRequest) -> int:
    """Which of ``--repeat`` this is, from 0."""
    return int(getattr(request, "param", 0))


@pytest.fixture
def seed(request: pytest.FixtureRequest, repetition: int) -> int:
    """The seed of this test in this repetition."""
    return derive(request.config.stash[SETTINGS].seed + repetition, item_key(request.node))


def item_key(item: pytest.Item) -> str:
    """A test's name and which of its own parameters' values it has, but without the repetition."""
    name = test_name(item)
    indices = getattr(getattr(item, "callspec", None), "indices", {})
    own = [f"{key}={index}" for key, index in sorted(indices.items()) if key != REPETITION]
    return f"{name}[{','.join(own)}]" if own else name


def test_name(item: pytest.Item) -> str:
    """The name of the function, which is the name in the manifest."""
    return str(getattr(item, "originalname", None) or item.name)


def repetition_of(item: pytest.Item) -> int:
    """Which repetition an item is, from 0."""
    return int(getattr(getattr(item, "callspec", None), "params", {}).get(REPETITION, 0))


def _workspace_called(name: str) -> Workspace:
    try:
        if name in ("labs", "solution"):
            return Workspace.labs() if name == "labs" else Workspace.solution()
        return Workspace.submission(name)
    except WorkspaceError as problem:
        raise pytest.UsageError(str(problem)) from problem

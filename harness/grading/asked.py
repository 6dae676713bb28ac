"""What a command that grades does with its options."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from harness.grading import exports
from harness.grading.machine import TOO_SMALL, shortages
from harness.grading.manifest import LabManifest, load_all
from harness.grading.memory import recall, remember
from harness.grading.plugin import Settings
from harness.grading.progress import Progress
from harness.grading.runner import grade, usual_jobs
from harness.grading.score import Report
from harness.grading.screen import screen
from harness.grading.seeds import random_seed
from harness.grading.selection import labs_named, select
from harness.grading.terminal import show_list, show_report
from harness.grading.watch import changed, snapshot
from harness.workspace import KIT, Workspace


@dataclass(frozen=True)
class Kit:
    """The checkout to grade with, and the module that brings the tests' fixtures ("" for none)."""

    root: Path = KIT
    fixtures: str = "harness.fixtures"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The options of a command that grades, as the command line has them."""

    solution: bool
    submission: str | None
    reference: Sequence[str]
    only: Sequence[str]
    seed: int | None
    repeat: int
    failed: bool
    watch: bool
    jobs: int | None
    json_file: str | None
    junit_file: str | None
    listing: bool
    verbose: bool


def grade_labs(kit: Kit, labs: Sequence[str], asked: Asked) -> int:
    """Grade once, or with `watch` until somebody ends it; the exit code."""
    manifests = load_all(kit.root, labs)
    if asked.only:
        manifests = select(manifests, asked.only)
    if asked.listing:
        with screen() as console:
            show_list(console, manifests)
        return 0
    workspace = chosen(kit, asked.solution, asked.submission, asked.reference)
    files = {Path(name): render for name, render in _renderers(asked.json_file, asked.junit_file)}
    for path in files:
        exports.check_writable(path)

    def once() -> Report:
        settings = Settings(
            workspace,
            random_seed() if asked.seed is None else asked.seed,
            asked.repeat,
            kit.fixtures,
            asked.jobs or usual_jobs(),
            recall(kit.root).seconds(workspace.implementation),
        )
        wanted = _failed(kit.root, manifests, workspace) if asked.failed else manifests
        report = _show(
            kit.root,
            wanted,
            settings,
            selected=bool(asked.only) or wanted is not manifests,
            verbose=asked.verbose,
        )
        if not report.interrupted:  # a file with half of the results would be taken for the whole
            for path, render in files.items():
                exports.write(path, render(report))
        return report

    directories = [*workspace.roots.values(), *(manifest.directory for manifest in manifests)]
    before = snapshot(directories)
    report = once()
    while asked.watch and not report.interrupted:
        # Before the run, not after it: what is saved meanwhile wants a run of its own.
        before = changed(before, lambda: snapshot(directories))
        report = once()
    return report.exit_code


def _show(
    kit: Path, manifests: Sequence[LabManifest], settings: Settings, *, selected: bool, verbose: bool
) -> Report:
    """Grade and tell."""
    with screen() as console:
        for one in (lacking := shortages()):
            console.print(TOO_SMALL.format(one))
        total = sum(len(manifest.tests) for manifest in manifests)
        with Progress(console, total, verbose=verbose) as progress:
            report = grade(kit, manifests, settings, progress, selected=selected)
        report = replace(report, shortages=lacking)
        remember(kit, report)
        show_report(console, report)
    return report


def _failed(kit: Path, manifests: Sequence[LabManifest], workspace: Workspace) -> Sequence[LabManifest]:
    """What did not pass the last time; everything when nothing is known of that."""
    wanted = recall(kit).failed(manifests, workspace.implementation)
    if not wanted:
        return manifests
    reduced = [manifest.only(wanted) for manifest in manifests]
    return [manifest for manifest in reduced if manifest.parts]


def _renderers(json_file: str | None, junit_file: str | None) -> list[tuple[str, Callable[[Any], str]]]:
    if json_file is not None and json_file == junit_file:
        raise click.UsageError("--json and --junit name the same file")
    files = ((json_file, exports.as_json), (junit_file, exports.as_junit))
    return [(name, render) for name, render in files if name is not None]


def chosen(kit: Kit, solution: bool, submission: str | None, reference: Sequence[str]) -> Workspace:
    """Whose packages are meant."""
    if solution and submission is not None:
        raise click.UsageError("--solution and --submission are two different things to grade; choose one")
    if submission is not None:
        whose = Workspace.submission(submission)
    else:
        whose = Workspace.solution(kit.root) if solution else Workspace.labs(kit.root)
    return whose.with_reference(labs_named(reference), kit.root)

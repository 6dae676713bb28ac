"""Results as files: JSON for programs, JUnit XML for those who already read that.

A file is written whole or not at all: first beside its place, then moved there. Whether that will work is
tried before the run, for a typing error must not cost ten minutes of grading.
"""

from __future__ import annotations

import json
import os
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

from harness.grading.outcome import Status
from harness.grading.score import LabResult, Report, TestResult
from harness.grading.text import clean


class ExportError(Exception):
    """A file cannot be written; one sentence."""


def as_json(report: Report) -> str:
    """The report in the kit's own format, version 1. `faults` and `shortages` say why the points may mean little."""
    whole = {
        "version": 1,
        "seed": report.seed,
        "implementation": clean(report.implementation),
        "labs": [_lab(lab) for lab in report.labs],
        "score": report.score,
        "max_score": report.max_score,
        "faults": [clean(one) for one in report.faults],
        "shortages": list(report.shortages),
    }
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def as_junit(report: Report) -> str:
    """The report as JUnit XML: a suite per lab, a case per test."""
    suites = ET.Element("testsuites", _counts(report.tests))
    for lab in report.labs:
        suite = ET.SubElement(suites, "testsuite", {"name": lab.lab, **_counts(lab.tests)})
        properties = ET.SubElement(suite, "properties")
        facts = {
            "title": lab.title,
            "implementation": clean(report.implementation),
            "seed": report.seed,
            "score": lab.score,
            "max_score": lab.max_score,
        }
        doubts = [
            *(("fault", clean(one)) for one in report.faults),
            *(("shortage", one) for one in report.shortages),
        ]
        for name, value in (*facts.items(), *doubts):
            ET.SubElement(properties, "property", {"name": name, "value": str(value)})
        for result in lab.tests:
            _case(suite, result)
    ET.indent(suites)
    return ET.tostring(suites, encoding="unicode", xml_declaration=False).join(
        ('<?xml version="1.0" encoding="utf-8"?>\n', "\n")
    )


def check_writable(path: Path) -> None:
    """Raise ``ExportError`` if ``path`` cannot be written; leaves nothing behind."""
    if path.is_dir():
        raise ExportError(f"{path} is a directory; name a file")
    if path.exists() and not path.is_file():
        return  # a device or a pipe: written directly
    if not path.parent.is_dir():
        raise ExportError(f"cannot write {path}: there is no directory {path.parent}")
    if path.exists() and not os.access(path, os.W_OK):
        raise ExportError(f"cannot write {path}: it is write-protected")
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent):
            pass
    except OSError as problem:
        raise ExportError(f"cannot write {path}: {problem.strerror}") from problem


def write(path: Path, text: str) -> None:
    """Replace the file at ``path`` by ``text``, atomically. Raises ``ExportError``."""
    data = text.encode("utf-8", "replace")
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(data)
            return
        _replace(Path(os.path.realpath(path)), data)
    except OSError as problem:
        raise ExportError(f"cannot write {path}: {problem.strerror}") from problem


def _replace(path: Path, data: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)  # noqa: PTH101 - a temporary name, not worth a Path
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _lab(lab: LabResult) -> dict[str, Any]:
    return {
        "lab": lab.lab,
        "title": lab.title,
        "score": lab.score,
        "max_score": lab.max_score,
        "parts": [
            {"part": part.part, "title": part.title, "score": part.score, "max_score": part.max_score}
            for part in lab.parts
        ],
        "tests": [
            {
                "id": result.test.name,
                "part": result.test.part,
                "title": result.test.claim.title,
                "status": result.status.value,
                "score": result.score,
                "max_score": result.test.points,
                "seconds": round(result.seconds, 3),
                "attempts": result.attempts,
                "failures": result.failures,
                "message": result.message,
                "replay": result.replay,
            }
            for result in lab.tests
        ],
    }


def _counts(tests: tuple[TestResult, ...]) -> dict[str, str]:
    statuses = [test.status for test in tests]
    failures = statuses.count(Status.FAILED) + statuses.count(Status.TIMEOUT)
    errors = statuses.count(Status.ERROR) + statuses.count(Status.MISSING)
    seconds = sum(test.seconds for test in tests)
    return {
        "tests": str(len(tests)),
        "failures": str(failures),
        "errors": str(errors),
        "time": f"{seconds:.3f}",
    }


def _case(suite: ET.Element, result: TestResult) -> None:
    test = result.test
    names = {"classname": f"{test.lab}.{test.part}", "name": test.name, "time": f"{result.seconds:.3f}"}
    case = ET.SubElement(suite, "testcase", names)
    if result.status is Status.PASSED:
        return
    tag = "failure" if result.status in (Status.FAILED, Status.TIMEOUT) else "error"
    head = clean(result.message, lines=1)
    problem = ET.SubElement(case, tag, {"type": result.status.value, "message": head})
    problem.text = f"{test.claim.title}\n{result.message}\nreplay: {result.replay}"

"""docs/reading/README.md: every test it names is graded, and every topic has a place. Its links are tested with all others."""

from __future__ import annotations

import re

from harness.grading.manifest import load
from harness.workspace import KIT, LABS

MAP = KIT / "docs" / "reading" / "README.md"
ROW = re.compile(r"^\| (?!topic|---)(.+?) \| (.+?) \| (.+?) \|$", re.MULTILINE)


def test_every_test_it_names_is_graded() -> None:
    graded = {test.name for lab in LABS for test in load(KIT, lab).tests}
    named = set(re.findall(r"`(test_\w+)`", MAP.read_text(encoding="utf-8")))
    assert named and named - graded == set()


def test_every_topic_has_a_place_and_something_to_run() -> None:
    rows = ROW.findall(MAP.read_text(encoding="utf-8"))
    assert len(rows) > 40
    for topic, place, run in rows:
        assert "](" in place, topic
        assert "`" in run, topic


def test_every_part_of_a_lab_is_on_the_map() -> None:
    text = MAP.read_text(encoding="utf-8")
    missing = [
        f"{lab} {part.part}"
        for lab, root in LABS.items()
        for part in load(KIT, lab).parts
        if f"{root.root}/README.md#part-{part.part.lower()}-" not in text
    ]
    assert missing == []

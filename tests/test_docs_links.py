"""Every relative link of the documents leads to a file and a heading that exist."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

from harness.grading.claims import read_claims

KIT = Path(__file__).resolve().parent.parent

_FENCE = re.compile(r"^ {0,3}(```+|~~~+)")
_CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)")
_LINK = re.compile(r"\]\(\s*<?([^)\s>]+)>?(?:\s+[\"'(][^)]*)?\)")
_REFERENCE = re.compile(r"^ {0,3}\[[^\]]+\]:\s*<?([^\s>]+)>?")
_HEADING = re.compile(r"^ {0,3}#{1,6}\s+(.*?)\s*#*$")
_TAG = re.compile(r"<a\s+(?:id|name)=[\"']([^\"']+)[\"']")
_EXTERNAL = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)


def documents() -> list[Path]:
    """README.md, docs/ and everything written for students."""
    found = [KIT / "README.md", *(KIT / "docs").rglob("*.md"), *(KIT / "labs").rglob("*.md")]
    return sorted(path for path in found if path.is_file())


def prose(text: str) -> Iterator[tuple[int, str]]:
    """Numbered lines outside of fenced code."""
    fence = ""
    for number, line in enumerate(text.splitlines(), start=1):
        found = _FENCE.match(line)
        if fence:
            if found and found[1].startswith(fence) and not line.strip(" `~"):
                fence = ""
        elif found:
            fence = found[1]
        else:
            yield number, line


def anchors(text: str) -> set[str]:
    """Names of a document's places, as GitHub makes them: the second `Part A` is `part-a-1`."""
    found: set[str] = set()
    seen: Counter[str] = Counter()
    for _, line in prose(text):
        found.update(_TAG.findall(line))
        if heading := _HEADING.match(line):
            words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading[1])
            slug = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
            found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
            seen[slug] += 1
    return found


def links(text: str) -> Iterator[tuple[int, str]]:
    for number, line in prose(text):
        plain = _CODE.sub("``", line)
        yield from ((number, target) for target in [*_LINK.findall(plain), *_REFERENCE.findall(plain)])


def problem(document: Path, target: str, root: Path) -> str | None:
    """What is wrong with a link to `target` in `document`; None if nothing is."""
    if _EXTERNAL.match(target):
        return None
    name, _, anchor = target.partition("#")
    path = (document.parent / unquote(name)).resolve() if name else document
    if name.startswith("/") or not path.is_relative_to(root.resolve()):
        return "leads out of the kit"
    if not path.exists():
        return "leads to no file"
    if anchor and path.suffix == ".md" and anchor not in anchors(path.read_text(encoding="utf-8")):
        return f"leads to no heading; there are {sorted(anchors(path.read_text(encoding='utf-8')))}"
    return None


def broken_links(document: Path, root: Path) -> list[str]:
    found = links(document.read_text(encoding="utf-8"))
    checked = ((number, target, problem(document, target, root)) for number, target in found)
    return [
        f"{document.relative_to(root)}:{number} {target} {wrong}"
        for number, target, wrong in checked
        if wrong
    ]


def test_documents_were_found() -> None:
    assert KIT / "README.md" in documents()
    assert KIT / "docs" / "protocol.md" in documents()


@pytest.mark.parametrize("document", documents(), ids=lambda path: path.relative_to(KIT).as_posix())
def test_links_lead_somewhere(document: Path) -> None:
    broken = broken_links(document, KIT)
    assert not broken, "\n".join(broken)


def test_claims_say_where_to_read() -> None:
    """A graded test that fails sends its student to a place in a handout: it has to be there."""
    broken: list[str] = []
    for directory in sorted((KIT / "labs").glob("*/tests")):
        for name, found in read_claims(directory).items():
            if found.claim.read and (wrong := problem(KIT / "README.md", found.claim.read, KIT)):
                broken.append(f"{found.path}:{found.line} {name}: {found.claim.read} {wrong}")
    assert not broken, "\n".join(broken)


def test_planted_broken_links_are_noticed(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text(
        "# One `two`, three!\n\n## Part A\n\n## Part A\n\n```\n# no heading\n```\n"
    )
    document = tmp_path / "README.md"
    document.write_text(
        "# Here\n[fine](other.md#one-two-three) [fine](other.md#part-a-1) [fine](#here) [fine](https://x.example/y)\n"
        "`[code](nowhere.md)` ``[a ` b](nowhere.md)``\n```text\n[code](nowhere.md)\n```\n"
        '[gone](gone.md) and [title](other.md "a title") and ![image](gone.png)\n'
        "[heading](other.md#part-b) [itself](#there) [code is no heading](other.md#no-heading)\n"
        "[out](../elsewhere.md) [absolute](/etc/hosts)\n"
        "[reference]: gone-too.md\n"
    )
    broken = broken_links(document, tmp_path)
    targets = [line.split()[1] for line in broken]
    assert targets == [
        *("gone.md", "gone.png"),
        *("other.md#part-b", "#there", "other.md#no-heading"),
        *("../elsewhere.md", "/etc/hosts"),
        "gone-too.md",
    ]

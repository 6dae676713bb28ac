"""Text from student processes, made safe to show.

Whatever a student's program prints or puts into an exception may reach a terminal, an XML file or a JSON
file. ``clean`` takes out escape sequences and control characters (all that XML forbids among them), and
bounds the length: nothing a student writes can repaint the terminal or fill the disk.
"""

from __future__ import annotations

import re

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])")
# Control characters, invisible and direction-changing characters, lone surrogates, non-characters.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff\ufffe\uffff]"
)


def clean(text: object, *, lines: int = 60, width: int = 240, tail: bool = False) -> str:
    """``text`` without anything that is not plain text, at most ``lines`` lines of ``width`` characters.

    With ``tail`` the last lines are kept rather than the first.
    """
    bound = lines * width * 4
    raw = str(text)
    raw = raw[-bound:] if tail else raw[:bound]
    raw = _ESCAPES.sub("", raw).replace("\r\n", "\n").replace("\r", "\n").expandtabs(4)
    kept = _UNSEEN.sub("\ufffd", raw).rstrip().split("\n")
    if len(kept) > lines:
        note = f"... {len(kept) - lines} more lines"
        kept = [note, *kept[-lines:]] if tail else [*kept[:lines], note]
    return "\n".join(_fit(line, width) for line in kept)


def one_line(text: object, width: int = 400) -> str:
    """``text`` cleaned, on one line."""
    return _fit(" ".join(clean(text, lines=20).split()), width)


def _fit(line: str, width: int) -> str:
    return line if len(line) <= width else line[: width - 3] + "..."

"""``This looks like``: known wrong solutions whose failures resemble a student's.

A fingerprint says which graded tests a wrong solution failed, and the words of their messages. It is written from
the matrix of `tests/mutants` (`python -m tests.mutants --write`). Only what agrees nearly whole, tests and words, is said
to look like the student's; what agrees well is called the nearest that is known; when nothing fits, nothing is said. A
crash, or what else names its cause, has no words.
What few wrong solutions have in common says more than what many have: tests and words count by how rare they are (as
search engines do: Spärck Jones 1972).
"""

from __future__ import annotations

import builtins
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.failures import BROKEN, NOTHING_HAPPENS
from harness.grading.score import LabResult

FILE = Path(__file__).with_name("fingerprints.json")
MOST = 2
FITS = 0.5  # of 1.0: near enough to be worth a look; this and the next found with python -m tests.mutants --held-out
SAME = 0.75  # as near as the same wrong solution is to itself when it is graded again
_SAME_TESTS = 0.25  # at least, of all that failed here or there
_SAME_WORDS = 0.07  # at least
_LEAST = 0.05  # what even a test or a word counts that all have
_BUGS = "|".join(
    name for name, its in vars(builtins).items() if isinstance(its, type) and issubclass(its, BaseException)
)
_OWN_CAUSE = re.compile(  # crashes, odd shapes, dead processes, no scenario: these say what is wrong themselves
    rf"\b(?:{_BUGS})\b|could not start|died of |ended by itself|closed the connection instead of|no progress within"
    r"|did not finish within|an error from your program|answered \w+ with|returned no |a scenario (?:is|has) "
    r"|^step \d+(?:: | has )"
)
_NO_VERDICT = re.compile(r"not written|\w+ (?:does not rest|asks without a rest)")
_HUNG = re.compile(  # whatever it was
    r"(?:did not happen|gave no answer)(?P<to> to \w+)?"
    rf"(?: within .*? (?:of real time|virtual seconds)|{re.escape(NOTHING_HAPPENS)})"
)


@dataclass(frozen=True)
class Fingerprint:
    """`fails`: test -> words of its message. `family` is the idea it has in common with its kin."""

    lab: str
    family: str
    title: str
    read: str
    fails: Mapping[str, Sequence[str]]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Suggestion:
    """A known wrong solution, and how much a student's failures are like its own: FITS to 1.0."""

    known: Fingerprint
    likeness: float

    @property
    def same(self) -> bool:
        """Whether nothing tells the two apart."""
        return self.likeness >= SAME


def load_fingerprints(path: Path = FILE) -> list[Fingerprint]:
    """All that are known; none where the file is missing."""
    if not path.is_file():
        return []
    return [Fingerprint(**one) for one in json.loads(path.read_text(encoding="utf-8"))]


def words(message: str) -> frozenset[str]:
    """What a message is about: its first lines' words, without numbers and names of nodes; what follows is a trace.
    Not the labels of Outcome.as_text, nor where the test stands. None, if the failure has a cause of its own."""
    told = re.split(r"^(?:at|trace): ", message, maxsplit=1, flags=re.MULTILINE)[0].split("\n")[:6]
    if _OWN_CAUSE.search(told[0]):
        return frozenset()
    head = " ".join(re.sub(r"^(?:expected|seen|witness|why): ", "", line) for line in told)
    return frozenset(re.findall(r"[a-z]{4,}", _HUNG.sub(r"\g<to>", head).lower()))


def failures_of(tests: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Test -> message, of those in the JSON results that failed by themselves: not because a node never rests."""
    return {
        str(test["id"]): str(test["message"])
        for test in tests
        if test["status"] in ("failed", "timeout") and not _NO_VERDICT.match(str(test["message"]))
    }


def looks_like(lab: LabResult) -> list[Suggestion]:
    """What the failures of a student's lab resemble."""
    failed = failures_of(
        {"id": one.test.name, "status": one.status.value, "message": one.message}
        for one in lab.tests
        if one.outcome is None or one.outcome.kind != BROKEN
    )
    return suggest(load_fingerprints(), lab.lab, frozenset(one.test.name for one in lab.tests), failed)


def suggest(
    known: Sequence[Fingerprint],
    lab: str,
    ran: frozenset[str],
    failed: Mapping[str, str],
    fits: float = FITS,
) -> list[Suggestion]:
    """The best that fit, one for each family, the best first."""
    said = {test: words(message) for test, message in failed.items()}
    of_lab = [one for one in known if one.lab == lab] if failed else []
    likeness = _Likeness(of_lab)
    scored = [(likeness.of(one, ran, said), one) for one in of_lab]
    best: dict[str, Suggestion] = {}
    for score, one in sorted(scored, key=lambda pair: -pair[0]):
        if score >= fits:
            best.setdefault(one.family, Suggestion(one, score))
    return list(best.values())[:MOST]


class _Likeness:
    """Of failures to the fingerprints of one lab."""

    def __init__(self, known: Sequence[Fingerprint]) -> None:
        self._known = len(known)
        self._tests = Counter(test for one in known for test in one.fails)
        self._words = Counter(word for one in known for word in set[str]().union(*one.fails.values()))

    def of(self, one: Fingerprint, ran: frozenset[str], said: Mapping[str, frozenset[str]]) -> float:
        """0.0 to 1.0: half for the tests that failed, half for what they said; which test failed says nothing if one ran."""
        theirs = {test: frozenset(its) for test, its in one.fails.items() if test in ran}
        common = theirs.keys() & said.keys()
        tests = self._shared(theirs.keys(), said.keys(), self._tests)
        if tests < _SAME_TESTS:
            return 0.0
        spoken = math.fsum(self._shared(theirs[test], said[test], self._words) for test in common) / len(
            common
        )
        if len(ran) == 1:
            return spoken
        return (tests + spoken) / 2 if spoken >= _SAME_WORDS else 0.0

    def _shared(self, these: Set[str], those: Set[str], known: Mapping[str, int]) -> float:
        """How much of what there is here or there is in both; what is rare counts most."""

        def weight(items: Set[str]) -> float:
            # Exact: in whatever order a set has its items, the same likeness comes of it.
            return math.fsum(
                math.log((self._known + 1) / max(1, known.get(item, 0))) + _LEAST for item in items
            )

        return weight(these & those) / (weight(these | those) or 1.0)

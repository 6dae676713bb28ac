"""``This looks like``: said when failures fit a known wrong solution, and never otherwise."""

from __future__ import annotations

import io
import re

from rich.console import Console

from harness.failures import NOTHING_HAPPENS
from harness.grading.looks import Fingerprint, failures_of, load_fingerprints, suggest, words
from harness.grading.manifest import load
from harness.grading.outcome import Outcome, Status
from harness.grading.score import Attempt, Replay, Report, result_of, tally
from harness.grading.terminal import show_report
from harness.workspace import LABS
from tests.mutants.mutant import KIT

RAN = frozenset({"test_one", "test_two", "test_three", "test_four"})
LOST = "the duplicate table was lost when the server restarted"
SLOW = "a slow handler delayed somebody else's call"
KNOWN = [
    Fingerprint("lab01", "table", "The table is lost", "README.md#c", {"test_one": tuple(words(LOST))}),
    Fingerprint(
        "lab01",
        "lock",
        "One big lock",
        "README.md#d",
        {"test_two": tuple(words(SLOW)), "test_three": tuple(words(SLOW))},
    ),
]

NO_IDEA = (  # what is wrong is said already, and is no known wrong solution
    "append on c1 raised NameError: name 'x' is not defined (consistency/reader.py line 3)",
    "write on c1 raised NameError: name 'offset' is not defined (consistency/writer.py line 31)",
    "read on c2 raised RecursionError: maximum recursion depth exceeded (consistency/reader.py line 12)",
    "append on c1 raised EOFError: EOF when reading a line (consistency/client.py line 40)",
    "create on master raised AttributeError: 'NoneType' object has no attribute 'get' (gfs_master/a.py line 7)",
    "server could not start: ImportError: cannot import name 'Table' (rpc/server.py line 1)\nwitness: Traceback",
    "master could not start: SyntaxError: invalid syntax (gfs_master/master.py line 3)\nwitness: Traceback",
    "cs1 died of SIGSEGV while it was asked for read\nwitness: the last it printed:\nFatal Python error",
    "server ended by itself with exit code 0 while a call was under way",
    "master answered create with no map\nexpected: a map with handle: int (docs/protocol.md)\nseen: None",
    "append on c1 returned no offset\nexpected: the file offset of the record, an int of at least 0\nseen: None",
    "master closed the connection instead of sending a frame; the last request to it was create",
    "the test got an error from your program: HandlerFailed: handler_failed: KeyError: 'x'\nseen: raised by: m()",
    "a scenario is a list of steps\nexpected: [[word, argument, ...], ...]\nseen: None",
    "step 3: 'foo' is no node\nexpected: ['crash', 'node']; nodes are master, primary\nseen: ['crash', 'foo']",
    "no progress within 600 virtual seconds\nseen: still under way: InvokeAppend(client='c1', path='/log')",
    "an operation did not happen within 20 s of real time",
    "append on c1 gave no answer within 20 s of real time",
    "did not finish within its deadline of 60 s\nseen: still in: cell.step()",
)


def places_of(lab: str) -> dict[str, str]:
    """The graded tests of a lab, and the files where they stand."""
    names = {test.name for test in load(KIT, lab).tests}
    files = [path.relative_to(KIT) for path in KIT.glob(f"labs/{lab[3:]}_*/tests/test_*.py")]
    found = {
        name: str(path)
        for path in files
        for name in re.findall(r"^def (test_\w+)", (KIT / path).read_text(), re.M)
    }
    return {name: found[name] for name in names}


def titles(failed: dict[str, str], lab: str = "lab01", ran: frozenset[str] = RAN) -> list[str]:
    return [one.known.title for one in suggest(KNOWN, lab, ran, failed)]


def test_what_fits_is_suggested() -> None:
    assert titles({"test_one": LOST}) == ["The table is lost"]
    assert titles({"test_two": SLOW, "test_three": SLOW}) == ["One big lock"]


def test_only_what_agrees_nearly_whole_is_the_same() -> None:
    told = f"{SLOW}, and the queue behind it grew"
    [same] = suggest(KNOWN, "lab01", RAN, {"test_two": SLOW, "test_three": SLOW})
    [near] = suggest(KNOWN, "lab01", RAN, {"test_two": told, "test_four": SLOW, "test_three": told})
    assert same.same and same.likeness == 1.0
    assert near.known == same.known and not near.same


def report(failed: dict[str, str]) -> str:
    """What a student is shown whose lab 1 failed so."""
    manifest = load(KIT, "lab01")
    results = {
        test.key: result_of(
            test,
            [
                Attempt(
                    1, 0.1, Outcome(Status.FAILED, failed[test.name]) if test.name in failed else None, True
                )
            ],
            1,
            Replay(()),
        )
        for test in manifest.tests
    }
    shown = io.StringIO()
    console = Console(file=shown, width=200)
    show_report(console, Report(1, "submission", (tally(manifest, results),)))
    return shown.getvalue()


def test_the_report_says_how_sure_it_is() -> None:
    [known] = [
        one for one in load_fingerprints() if one.title == "A client's id is made from its node's name"
    ]
    told = f"{known.title}\n  read      {known.read}\n"
    whole = report({test: " ".join(said) for test, said in known.fails.items()})
    assert f"\nthis looks like: {told}" in whole
    assert "nothing known" not in whole
    part = report({test: " ".join(said[::3]) for test, said in known.fails.items()})
    assert f"\nnothing known looks quite like this; nearest: {told}" in part
    assert "this looks like" not in part


def test_numbers_in_a_message_do_not_matter() -> None:
    assert words("ran 2 times instead of 1 on cs3") == words("ran 4 times instead of 3 on cs1")


def test_where_a_test_stands_and_what_its_values_are_called_do_not_matter() -> None:
    assert words("lost\nexpected: one\nwhy: once\nat: labs/01_rpc/tests/test_c.py:3\ntrace: /tmp/output") == {
        "lost",
        "once",
    }


def test_how_it_is_seen_that_something_hangs_does_not_matter() -> None:
    assert words("master gave no answer to create within 30 s of real time") == {"master", "create"}
    assert words(f"master gave no answer to create{NOTHING_HAPPENS}") == {"master", "create"}
    assert words(f"the start of a clone did not happen{NOTHING_HAPPENS}") == {"start", "clone"}


def test_what_has_a_cause_of_its_own_resembles_nothing() -> None:
    known, shown, asked = load_fingerprints(), list[tuple[str, str, str]](), 0
    for lab in LABS:
        places = places_of(lab)
        parts = {test.part: set[str]() for test in load(KIT, lab).tests}
        for test in load(KIT, lab).tests:
            parts[test.part].add(test.name)
        every = frozenset(places)
        runs = [(ran, {name}) for name in sorted(places)[::3] for ran in (every, frozenset({name}))]
        runs += [(frozenset(part), part) for part in (*parts.values(), set(places))]
        for message in NO_IDEA:
            for ran, names in runs:
                failed = {name: f"{message}\nat: {places[name]}:12" for name in names}
                shown += [(lab, message, found.known.title) for found in suggest(known, lab, ran, failed)[:1]]
        asked += len(runs) * len(NO_IDEA)
    assert len(shown) < asked / 500, f"{len(shown)} of {asked}: {shown}"


def test_only_the_tests_that_ran_count() -> None:
    assert titles({"test_two": SLOW}, ran=frozenset({"test_two"})) == ["One big lock"]


def test_nothing_is_said_when_nothing_fits() -> None:
    assert titles({}) == []
    assert titles({"test_four": LOST}) == []
    assert titles({"test_one": "node could not start: SyntaxError"}) == []
    everything = frozenset(f"test_{number}" for number in range(20))
    assert titles(dict.fromkeys(everything, LOST) | {"test_one": LOST}, ran=RAN | everything) == []
    assert titles({"test_one": LOST}, lab="lab02") == []


def test_what_few_have_says_more_than_what_many_have() -> None:
    # Most wrong solutions fail test_four, and say "answer"; only one fails test_one.
    common = {"test_four": ("answer", "wrong")}
    rare = Fingerprint("lab01", "rare", "Rare", "", {"test_one": tuple(words(LOST)), **common})
    many = [Fingerprint("lab01", f"{n}", f"{n}", "", {f"test_{n}": ("word",), **common}) for n in range(9)]
    failed = {"test_one": LOST, "test_four": "answer wrong"}
    assert suggest([*many, rare], "lab01", RAN, failed)[0].known is rare
    assert all(one.known is rare for one in suggest([*many, rare], "lab01", RAN, failed, fits=0.4))


def test_the_kits_fingerprints_recognise_themselves() -> None:
    known = load_fingerprints()
    for one in known:
        if not any(one.fails.values()):
            continue  # it shows in failures with causes of their own
        failed = {test: " ".join(said) for test, said in one.fails.items()}
        assert any(found.same for found in suggest(known, one.lab, frozenset(failed), failed)), one.title


def test_what_a_node_that_never_rests_brings_about_resembles_nothing() -> None:
    tests = [
        {"id": "test_a", "status": "failed", "message": "cs1 does not rest\nseen: 2.1 s of the processor"},
        {"id": "test_b", "status": "failed", "message": "c1 asks without a rest, after: cs1 crashes"},
        {"id": "test_c", "status": "failed", "message": "a reader asks again without a rest"},
        {"id": "test_d", "status": "failed", "message": "not written yet: lab 1 part A"},
    ]
    assert failures_of(tests) == {"test_c": "a reader asks again without a rest"}

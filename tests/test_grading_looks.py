"""``This looks like``: said when failures fit a known wrong solution, and never otherwise."""

from __future__ import annotations

from harness.grading.looks import FITS, Fingerprint, load_fingerprints, suggest, words

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


def titles(failed: dict[str, str], lab: str = "lab01", ran: frozenset[str] = RAN) -> list[str]:
    return [one.title for one in suggest(KNOWN, lab, ran, failed)]


def test_what_fits_is_suggested() -> None:
    assert titles({"test_one": LOST}) == ["The table is lost"]
    assert titles({"test_two": SLOW, "test_three": SLOW}) == ["One big lock"]


def test_numbers_in_a_message_do_not_matter() -> None:
    assert words("ran 2 times instead of 1 on cs3") == words("ran 4 times instead of 3 on cs1")


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
    assert suggest([*many, rare], "lab01", RAN, failed)[0] is rare
    assert all(one is rare for one in suggest([*many, rare], "lab01", RAN, failed, fits=0.4))


def test_the_kits_fingerprints_recognise_themselves() -> None:
    known = load_fingerprints()
    for one in known:
        failed = {test: " ".join(said) for test, said in one.fails.items()}
        found = suggest(known, one.lab, frozenset(failed), failed)
        assert found and FITS <= 1.0, one.title

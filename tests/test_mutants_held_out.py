"""How the threshold of "this looks like" is judged: on wrong solutions left out of the fingerprints."""

from __future__ import annotations

from harness.grading.looks import SAME, Fingerprint, load_fingerprints
from harness.grading.manifest import load
from harness.workspace import LABS
from tests.mutants.fingerprints import HeldOut, held_out, table
from tests.mutants.mutant import KIT, mutants, read_mutant

RAN = {"lab01": frozenset({"test_one", "test_two", "test_three"}), "lab02": frozenset({"test_one"})}
TWICE = ("handler", "more", "once", "than")


def print_of(family: str, title: str, lab: str = "lab01", **fails: tuple[str, ...]) -> Fingerprint:
    return Fingerprint(lab, family, title, "README.md", fails)


ONE = print_of("table", "never kept", test_one=TWICE)
OTHER = print_of("table", "kept too short", test_one=(*TWICE, "again"))
ALONE = print_of("lock", "one lock", test_two=("slow", "waits"))


def test_kin_is_recognised_by_those_that_stay() -> None:
    assert held_out([ONE, OTHER, ALONE], RAN, 0.7) == HeldOut(0.7, kin=2, right=2, strangers=3, shown=0)


def test_nothing_is_known_of_what_is_left_out() -> None:
    assert held_out([ONE], RAN, 0.7) == HeldOut(0.7, kin=0, right=0, strangers=1, shown=0)


def test_a_stranger_that_looks_alike_counts_against_the_threshold() -> None:
    double = print_of("acknowledgements", "dropped too early", test_one=TWICE)
    assert held_out([ONE, double], RAN, 0.7) == HeldOut(0.7, kin=0, right=0, strangers=2, shown=2)
    assert held_out([ONE, OTHER, double], RAN, 1.0) == HeldOut(1.0, kin=2, right=0, strangers=3, shown=2)


def test_a_higher_threshold_finds_less() -> None:
    assert held_out([ONE, OTHER], RAN, 0.95).right == 0


def test_labs_have_nothing_to_do_with_each_other() -> None:
    elsewhere = print_of("table", "never kept", "lab02", test_one=TWICE)
    assert held_out([ONE, elsewhere], RAN, 0.7).kin == 0


def test_the_table_says_it_for_many_thresholds() -> None:
    assert len(table([ONE, OTHER]).splitlines()) > 10


def test_the_kits_fingerprints_are_right_most_of_the_time_and_hardly_ever_sure_of_a_stranger() -> None:
    # With the thresholds in use. Of what is taken for the same all the same, most fail one test with one and the same message.
    ran = {lab: frozenset(test.name for test in load(KIT, lab).tests) for lab in LABS}
    known = load_fingerprints()
    near, same = held_out(known, ran), held_out(known, ran, SAME)
    assert near.right > 0.6 * near.kin, near
    assert same.shown < 0.06 * same.strangers, same


def test_a_family_has_kin() -> None:
    every = [read_mutant(path) for path in mutants()]
    families = [(one.lab, one.family) for one in every]
    slugs = {(path.parent.name, path.stem) for path in mutants()}
    assert [one for one in families if families.count(one) == 1 and one not in slugs] == []
    assert sum(families.count(one) > 1 for one in families) > len(every) / 2, "what could be held out?"

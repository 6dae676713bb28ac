"""What a graded test raises: the student's code is wrong, or the harness is.

A ``LabFailure`` teaches: what was expected, what was seen, the smallest witness, and why it matters. A
``HarnessFault`` never costs a student points in silence: the run ends with exit code 2.
"""

from __future__ import annotations

NOT_IMPLEMENTED = "not implemented"
BROKEN = "broken"
# The end of a message about what has not come.
NOTHING_HAPPENS = ", and nothing happens any more: every thread of every node waits"


class LabFailure(AssertionError):
    """The student's code did something else than the claim says.

    ``kind`` is free text for the reports; ``NOT_IMPLEMENTED`` marks a starter's body that is still to be
    written, ``BROKEN`` a program that died, raised, or said what is no answer at all: then no hint of the test's helps.
    ``witness`` may have many lines. ``trace`` is a path a person can open. ``stands``: where the threads of the nodes are,
    if something did not end.
    """

    def __init__(
        self,
        message: str,
        *,
        expected: object = None,
        seen: object = None,
        witness: str | None = None,
        why: str | None = None,
        kind: str = "wrong",
        trace: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.expected = _shown(expected)
        self.seen = _shown(seen)
        self.witness = witness
        self.why = why
        self.kind = kind
        self.trace = trace
        self.stands = ""


class HarnessFault(Exception):
    """The harness itself could not do its work: not the student's fault."""


class TooBusy(HarnessFault):
    """A wait ended in vain for want of the processor: nobody's fault, and nothing is shown. See `harness.patience`.

    ``known``: what is known of the nodes that were waited for, in words; ``stands``: where their threads are.
    """

    known = ""
    stands = ""


_NOT_GIVEN = object()


def expect(
    condition: object,
    message: str,
    *,
    expected: object = None,
    seen: object = _NOT_GIVEN,
    witness: str | None = None,
    why: str | None = None,
) -> None:
    """Raise ``LabFailure`` unless ``condition`` holds; strings are shown as they are, the rest by repr, None too if given."""
    __tracebackhide__ = True
    if not condition:
        seen = None if seen is _NOT_GIVEN else "None" if seen is None else seen
        raise LabFailure(message, expected=expected, seen=seen, witness=witness, why=why)


def _shown(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else repr(value)

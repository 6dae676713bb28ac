"""Grading: graded tests, their points, and the reports a person reads.

A graded test imports from here ``claim`` (its title, hint and place to read), ``expect`` and
``LabFailure`` (to say what was wrong). ``HarnessFault`` says that the kit, not the student, is at fault.
"""

from harness.failures import NOT_IMPLEMENTED, HarnessFault, LabFailure, expect
from harness.grading.claims import claim

__all__ = ["NOT_IMPLEMENTED", "HarnessFault", "LabFailure", "claim", "expect"]

"""Seeds: one number replays one test.

Repetition k of a run with seed S uses the run seed S + k, so the seed of a failing repetition, given to
``--seed`` without ``--repeat``, leads to the very same random choices. Each test derives its own from the
run seed and its name, so that running it alone changes nothing.
"""

from __future__ import annotations

import hashlib
import secrets


def random_seed() -> int:
    """A fresh run seed, short enough to be typed."""
    return secrets.randbelow(1_000_000)


def derive(run_seed: int, test: str) -> int:
    """The seed of one test in one run, the same on every machine: 63 bits, never Python's ``hash``."""
    digest = hashlib.sha256(f"{run_seed}\0{test}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1

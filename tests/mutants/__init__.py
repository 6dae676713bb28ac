"""Wrong solutions that the graded tests must catch; see `mutant.py` for their form."""

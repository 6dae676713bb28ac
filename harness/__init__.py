"""Runs, breaks and judges the labs of the kit."""

"""Measurements, as ratios of two things taken in the same pinned, interleaved run. Never part of the tests."""

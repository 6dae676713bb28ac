"""Generators of what would otherwise be written twice: starters and the protocol document."""

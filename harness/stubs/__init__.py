"""Scripted peers: a master and chunkservers without student code, so that labs 2 and 3 are tested alone."""

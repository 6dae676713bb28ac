"""The network between nodes: a proxy that understands frames, and faults that decide about each of them."""

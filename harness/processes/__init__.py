"""Real processes: a warm zygote that forks them, what a node runs, and the harness's hold on each."""

import os

assert set(os.environ) == {"HOME", "TMPDIR", "PATH", "LANG"}

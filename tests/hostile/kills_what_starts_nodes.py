# Only a sandbox keeps a program of the same user from this; the test it hits is an error, and never points.
import os
import signal


def parent(pid):
    with open(f"/proc/{pid}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[1])


os.kill(os.getppid(), signal.SIGKILL)

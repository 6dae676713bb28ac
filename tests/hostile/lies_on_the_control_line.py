# It finds the socket to the harness and sends rubbish: a bound on sizes, then it is cut off.
import os

for fd in range(3, 64):
    try:
        os.write(fd, b"\xff" * 64)
    except OSError:
        pass

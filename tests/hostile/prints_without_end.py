import sys

for _ in range(2000):
    print("flood " * 200)
    print("x" * 1000, file=sys.stderr)

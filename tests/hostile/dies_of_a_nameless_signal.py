import os

os.kill(os.getpid(), 40)  # a real-time signal: only the first and the last have names

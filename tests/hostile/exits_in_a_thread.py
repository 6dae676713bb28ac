import os
import threading

threading.Timer(0.0, os._exit, [0]).start()

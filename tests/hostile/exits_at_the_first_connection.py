import os
import socket

accept = socket.socket.accept
socket.socket.accept = lambda self: accept(self) and os._exit(0)

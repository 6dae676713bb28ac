import os
import socket

socket.socket.accept = lambda self: os._exit(0)

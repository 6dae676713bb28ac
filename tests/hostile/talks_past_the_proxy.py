# There is nothing to be had there: a node does not know the others' ports, and scanning finds sockets that know nobody.
import socket

for port in range(1024, 1100):
    try:
        socket.create_connection(("127.0.0.1", port), 0.01).close()
    except OSError:
        pass

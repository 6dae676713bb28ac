hoard = bytearray(64 << 30)

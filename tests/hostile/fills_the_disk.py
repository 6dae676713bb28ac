with open("filler", "wb") as file:
    file.truncate((1 << 30) + 1)

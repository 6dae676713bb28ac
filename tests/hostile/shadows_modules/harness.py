raise RuntimeError("never to be imported")

raise BaseException("mine")

import solutions

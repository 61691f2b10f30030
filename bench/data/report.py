def write(r): return "x"

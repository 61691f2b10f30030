"""Ten thousand simulated agents against one server: `python -m bench.check_ins`."""

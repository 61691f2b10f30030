"""Long forms of tests whose short forms are in the suite; one module each, all run by `make soak`."""

"""Long forms of tests whose short forms are in the suite; one module each, for `make soak`."""

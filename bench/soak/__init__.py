"""Long forms of tests of endurance: `make soak`."""

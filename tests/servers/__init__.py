"""Real servers for the tests, started once by each process of a run."""

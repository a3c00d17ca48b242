"""Real servers for the tests, started once a run."""

"""The `posthouse` command: what an operator does with a relay."""

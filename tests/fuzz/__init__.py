"""Damaged mail, in any number: `PYTHONPATH=tests python -m fuzz 100000`, or `make fuzz`."""

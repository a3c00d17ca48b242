"""Damaged mail and damaged SMTP sessions, in any number: `make fuzz`, `make fuzz-sessions`."""

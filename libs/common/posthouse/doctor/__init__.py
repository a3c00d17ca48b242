"""Judges whether an installation can keep its promises, by facts that others have gathered."""

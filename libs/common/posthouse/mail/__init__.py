"""Mail's own nouns as values: no I/O, no clock, no chance."""

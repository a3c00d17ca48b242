"""What a sending domain publishes, and how a receiver reads it: values and decisions, no I/O."""

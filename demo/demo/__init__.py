"""The whole relay at work on one machine, shown and checked: `posthouse demo`."""

"""Reads messages that came back: start at `bounces.core.reports.reading.read`."""

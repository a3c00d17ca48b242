"""The bounces service."""

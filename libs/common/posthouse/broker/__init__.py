"""Queues between services: a small port and two brokers behind it."""

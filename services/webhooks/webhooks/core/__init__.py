"""Decisions of the webhooks service: without I/O, clock or chance."""

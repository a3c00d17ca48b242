"""Composes the messages of our own, and decides who gets one."""

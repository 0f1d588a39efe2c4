"""Waits between a launch and what comes after it."""

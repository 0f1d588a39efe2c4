"""Asks people before a wave."""

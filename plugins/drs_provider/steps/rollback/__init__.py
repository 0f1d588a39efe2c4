"""Undoes a wave that failed."""

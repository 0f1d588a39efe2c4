"""Begins a run."""

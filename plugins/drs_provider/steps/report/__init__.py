"""Writes the evidence of a run, and passes the verdict on it."""

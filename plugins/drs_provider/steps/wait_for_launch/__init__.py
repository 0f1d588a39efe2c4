"""Waits until the jobs of a wave have ended, and launches failed servers again."""

"""Waits until the instances of a wave are healthy."""

"""Launches a wave."""

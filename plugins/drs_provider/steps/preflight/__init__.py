"""Checks everything before anything is launched."""

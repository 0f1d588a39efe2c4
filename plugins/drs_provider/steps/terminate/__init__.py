"""Terminates what a drill launched."""

"""Runs an SSM command or an automation before or after a launch."""

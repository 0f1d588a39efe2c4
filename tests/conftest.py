"""Fixtures for every room: the DRS simulator, in this process and as a server."""

pytest_plugins = ["drs_provider.simulator.pytest_plugin"]

"""The old path of the watch: deadlines of runs that began under an earlier version call it here, until 0.2."""

from __future__ import annotations

from drs_provider.runs.run_watch import watch_run

__all__ = ["watch_run"]

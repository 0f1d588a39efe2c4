"""The old path of the RTO alarm: deadlines of runs that began under an earlier version call it here, until 0.2."""

from __future__ import annotations

from drs_provider.runs.alarm import rto_alarm

__all__ = ["rto_alarm"]
